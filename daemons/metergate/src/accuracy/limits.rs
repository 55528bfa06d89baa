//! Limits of the classes as tables. Rows begin at a fraction of the basic (rated) or of the transitional current.
//!
//! Where each table comes from, and what of it could be checked against something public:
//!
//! | table | standard | status |
//! |---|---|---|
//! | `CLASS_1`, `CLASS_2`: balanced, one phase, influences | IEC 62053-21:2003 tables 6 to 8 | checked against published extracts of tables 7 and 8 |
//! | their limits for odd harmonics and sub-harmonics | the same, table 8 | † |
//! | `CLASS_05` | IEC 62053-21:2020 | † |
//! | `CLASS_05S`, `CLASS_02S` | IEC 62053-22:2003 tables 4 to 6 | † |
//! | `CLASS_A`, `CLASS_B`, `CLASS_C` | EN 50470-3:2006 | † |
//! | [`MPE`] | Directive 2014/32/EU annex V table 2 | checked against the directive |
//! | `REACTIVE_2`, `REACTIVE_3` | IEC 62053-23:2003 | † |
//! | `REACTIVE_05S`, `REACTIVE_1S`, `REACTIVE_1` | IEC 62053-24:2014 | † |
//!
//! † from secondary sources; to be checked against the printed standard before a claim rests on it. IEC 62053-22 and the
//! S classes of IEC 62053-24 are for meters behind transformers; they are applied to the direct range too, from 0.01 In.

use Group::{Capacitive, Half, Quarter, Unity};

/// Kinds of load that the tables tell apart. For reactive energy `Unity` means |sin φ| = 1 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// cos φ = 1 in either direction; sin φ = 1.
    Unity,
    /// cos φ = 0.5 inductive; sin φ = 0.5.
    Half,
    /// cos φ = 0.8 capacitive.
    Capacitive,
    /// cos φ = 0.25 inductive; sin φ = 0.25.
    Quarter,
}

/// What the fractions of a table are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Ib of direct meters, In of those behind transformers.
    Basic,
    /// Itr.
    Transitional,
}

/// From this fraction up (direct meters, meters behind transformers) this limit, ± %, until the next row of the same
/// group or Imax.
pub type Row = (Group, f64, f64, f64);

/// Limits of the change of the error, ± %. `None`: the standard has none, or the figure is not at hand.
#[derive(Clone, Copy, Debug)]
pub struct Influences {
    /// Voltage ±10 %, at unity and at 0.5; three times this from −20 to −10 % and from +10 to +15 %.
    pub voltage: (f64, f64),
    /// Frequency ±2 %, at unity and at 0.5.
    pub frequency: (f64, f64),
    /// Reversed phase sequence.
    pub reversed: Option<f64>,
    /// One or two phases without voltage.
    pub missing: Option<f64>,
    /// 5th harmonic, 10 % in the voltage and 40 % in the current.
    pub harmonic: Option<f64>,
    /// Direct component and even harmonics (half-wave); direct meters only.
    pub half_wave: Option<f64>,
    /// Odd harmonics (phase-fired at 90 degrees); direct meters only.
    pub phase_fired: Option<f64>,
    /// Sub-harmonics (two cycles on, two off).
    pub bursts: Option<f64>,
    /// Temperature coefficient, %/K, at unity and at 0.5.
    pub kelvin: (f64, f64),
}

/// Everything about a class.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// What the fractions are of.
    pub base: Base,
    /// Balanced load.
    pub balanced: &'static [Row],
    /// Current in one phase only.
    pub single: &'static [Row],
    /// Influence quantities.
    pub influences: Influences,
    /// Starting current as a fraction of the base (direct, transformers); 0 where the class has none for the kind.
    pub start: (f64, f64),
}

const fn influences(voltage: (f64, f64), frequency: (f64, f64), kelvin: (f64, f64)) -> Influences {
    Influences {
        voltage,
        frequency,
        reversed: None,
        missing: None,
        harmonic: None,
        half_wave: None,
        phase_fired: None,
        bursts: None,
        kelvin,
    }
}

const fn of_active(
    base: Influences,
    [reversed, missing, harmonic, half_wave, phase_fired, bursts]: [f64; 6],
) -> Influences {
    Influences {
        reversed: Some(reversed),
        missing: Some(missing),
        harmonic: Some(harmonic),
        half_wave: if half_wave > 0.0 { Some(half_wave) } else { None },
        phase_fired: if phase_fired > 0.0 { Some(phase_fired) } else { None },
        bursts: Some(bursts),
        ..base
    }
}

/// EN 50470-3 class A.
pub const CLASS_A: Tables = Tables {
    base: Base::Transitional,
    balanced: &[(Unity, 0.5, 0.4, 2.5), (Unity, 1.0, 1.0, 2.0), (Half, 1.0, 1.0, 2.0), (Capacitive, 1.0, 1.0, 2.0)],
    single: &[(Unity, 1.0, 1.0, 3.0), (Half, 1.0, 1.0, 3.0)],
    influences: of_active(influences((1.0, 1.5), (0.8, 1.0), (0.10, 0.15)), [1.5, 4.0, 1.0, 6.0, 6.0, 6.0]),
    start: (0.05, 0.06),
};
/// EN 50470-3 class B.
pub const CLASS_B: Tables = Tables {
    base: Base::Transitional,
    balanced: &[(Unity, 0.5, 0.2, 1.5), (Unity, 1.0, 1.0, 1.0), (Half, 1.0, 1.0, 1.0), (Capacitive, 1.0, 1.0, 1.0)],
    single: &[(Unity, 1.0, 1.0, 2.0), (Half, 1.0, 1.0, 2.0)],
    influences: of_active(influences((0.7, 1.0), (0.5, 0.7), (0.05, 0.07)), [1.5, 2.0, 0.8, 3.0, 3.0, 3.0]),
    start: (0.04, 0.04),
};
/// EN 50470-3 class C.
pub const CLASS_C: Tables = Tables {
    base: Base::Transitional,
    balanced: &[(Unity, 0.3, 0.2, 1.0), (Unity, 1.0, 1.0, 0.5), (Half, 1.0, 1.0, 0.5), (Capacitive, 1.0, 1.0, 0.5)],
    single: &[(Unity, 1.0, 1.0, 1.0), (Half, 1.0, 1.0, 1.0)],
    influences: of_active(influences((0.2, 0.4), (0.2, 0.2), (0.03, 0.05)), [0.3, 1.0, 0.5, 1.5, 1.5, 1.5]),
    start: (0.04, 0.02),
};
/// IEC 62053-21 class 2.
pub const CLASS_2: Tables = Tables {
    base: Base::Basic,
    balanced: &[(Unity, 0.05, 0.02, 2.5), (Unity, 0.1, 0.05, 2.0), (Half, 0.1, 0.05, 2.5), (Half, 0.2, 0.1, 2.0)],
    single: &[(Unity, 0.1, 0.05, 3.0), (Half, 0.2, 0.1, 3.0)],
    influences: of_active(influences((1.0, 1.5), (0.8, 1.0), (0.10, 0.15)), [1.5, 4.0, 1.0, 6.0, 6.0, 6.0]),
    start: (0.005, 0.003),
};
/// IEC 62053-21 class 1; 0.25 inductive is "at special request" †.
pub const CLASS_1: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.05, 0.02, 1.5),
        (Unity, 0.1, 0.05, 1.0),
        (Half, 0.1, 0.05, 1.5),
        (Half, 0.2, 0.1, 1.0),
        (Capacitive, 0.1, 0.05, 1.5),
        (Capacitive, 0.2, 0.1, 1.0),
        (Quarter, 0.2, 0.1, 3.5),
    ],
    single: &[(Unity, 0.1, 0.05, 2.0), (Half, 0.2, 0.1, 2.0)],
    influences: of_active(influences((0.7, 1.0), (0.5, 0.7), (0.05, 0.07)), [1.5, 2.0, 0.8, 3.0, 3.0, 3.0]),
    start: (0.004, 0.002),
};
/// IEC 62053-21 class 0.5, of the edition of 2020.
pub const CLASS_05: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.05, 0.02, 1.0),
        (Unity, 0.1, 0.05, 0.5),
        (Half, 0.1, 0.05, 1.0),
        (Half, 0.2, 0.1, 0.6),
        (Capacitive, 0.1, 0.05, 1.0),
        (Capacitive, 0.2, 0.1, 0.6),
    ],
    single: &[(Unity, 0.1, 0.05, 0.6), (Half, 0.2, 0.1, 1.0)],
    influences: of_active(influences((0.2, 0.4), (0.2, 0.2), (0.03, 0.05)), [0.1, 1.0, 0.5, 1.5, 1.5, 1.5]),
    start: (0.002, 0.001),
};
/// IEC 62053-22 class 0.5S; 0.25 inductive is "at special request". Transformers keep direct components away.
pub const CLASS_05S: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.01, 0.01, 1.0),
        (Unity, 0.05, 0.05, 0.5),
        (Half, 0.02, 0.02, 1.0),
        (Half, 0.1, 0.1, 0.6),
        (Capacitive, 0.02, 0.02, 1.0),
        (Capacitive, 0.1, 0.1, 0.6),
        (Quarter, 0.1, 0.1, 1.0),
    ],
    single: &[(Unity, 0.05, 0.05, 0.6), (Half, 0.1, 0.1, 1.0)],
    influences: of_active(influences((0.2, 0.4), (0.2, 0.2), (0.03, 0.05)), [0.1, 1.0, 0.5, 0.0, 0.0, 1.5]),
    start: (0.0, 0.001),
};
/// IEC 62053-22 class 0.2S, as above.
pub const CLASS_02S: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.01, 0.01, 0.4),
        (Unity, 0.05, 0.05, 0.2),
        (Half, 0.02, 0.02, 0.5),
        (Half, 0.1, 0.1, 0.3),
        (Capacitive, 0.02, 0.02, 0.5),
        (Capacitive, 0.1, 0.1, 0.3),
        (Quarter, 0.1, 0.1, 0.5),
    ],
    single: &[(Unity, 0.05, 0.05, 0.3), (Half, 0.1, 0.1, 0.4)],
    influences: of_active(influences((0.1, 0.2), (0.1, 0.1), (0.01, 0.02)), [0.05, 0.5, 0.4, 0.0, 0.0, 0.6]),
    start: (0.0, 0.001),
};

/// IEC 62053-23 class 3: reactive energy of sine waves.
pub const REACTIVE_3: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.05, 0.02, 4.0),
        (Unity, 0.1, 0.05, 3.0),
        (Half, 0.1, 0.05, 4.0),
        (Half, 0.2, 0.1, 3.0),
        (Quarter, 0.2, 0.1, 4.0),
    ],
    single: &[(Unity, 0.1, 0.05, 4.0), (Half, 0.2, 0.1, 4.0)],
    influences: influences((2.0, 3.0), (2.5, 2.5), (0.15, 0.25)),
    start: (0.01, 0.005),
};
/// IEC 62053-23 class 2.
pub const REACTIVE_2: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.05, 0.02, 2.5),
        (Unity, 0.1, 0.05, 2.0),
        (Half, 0.1, 0.05, 2.5),
        (Half, 0.2, 0.1, 2.0),
        (Quarter, 0.2, 0.1, 2.5),
    ],
    single: &[(Unity, 0.1, 0.05, 3.0), (Half, 0.2, 0.1, 3.0)],
    influences: influences((1.0, 1.5), (2.5, 2.5), (0.10, 0.15)),
    start: (0.005, 0.003),
};
/// IEC 62053-24 class 1: reactive energy of the fundamental, direct meters.
pub const REACTIVE_1: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.05, 0.02, 1.5),
        (Unity, 0.1, 0.05, 1.0),
        (Half, 0.1, 0.05, 1.5),
        (Half, 0.2, 0.1, 1.0),
        (Quarter, 0.2, 0.1, 2.0),
    ],
    single: &[(Unity, 0.1, 0.05, 1.5), (Half, 0.2, 0.1, 1.5)],
    influences: influences((0.5, 1.0), (1.0, 1.0), (0.05, 0.10)),
    start: (0.004, 0.002),
};
/// IEC 62053-24 class 1S.
pub const REACTIVE_1S: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.01, 0.01, 1.5),
        (Unity, 0.05, 0.05, 1.0),
        (Half, 0.02, 0.02, 1.5),
        (Half, 0.1, 0.1, 1.0),
        (Quarter, 0.1, 0.1, 2.0),
    ],
    single: &[(Unity, 0.05, 0.05, 1.5), (Half, 0.1, 0.1, 1.5)],
    influences: influences((0.5, 1.0), (1.0, 1.0), (0.05, 0.10)),
    start: (0.0, 0.002),
};
/// IEC 62053-24 class 0.5S.
pub const REACTIVE_05S: Tables = Tables {
    base: Base::Basic,
    balanced: &[
        (Unity, 0.01, 0.01, 1.0),
        (Unity, 0.05, 0.05, 0.5),
        (Half, 0.02, 0.02, 1.0),
        (Half, 0.1, 0.1, 0.5),
        (Quarter, 0.1, 0.1, 1.0),
    ],
    single: &[(Unity, 0.05, 0.05, 0.7), (Half, 0.1, 0.1, 1.0)],
    influences: influences((0.25, 0.5), (0.5, 0.5), (0.03, 0.05)),
    start: (0.0, 0.001),
};

/// Ends of the directive's temperature bands, °C: a band is everything between its outer ends and the next band's.
pub const BANDS: [(f64, f64); 4] = [(5.0, 30.0), (-10.0, 40.0), (-25.0, 55.0), (-40.0, 70.0)];

/// Largest permissible errors of classes A, B, C in each band, ± %: from Imin to Itr; from Itr to Imax; there with
/// current in one phase only.
pub const MPE: [[[f64; 3]; 4]; 3] = [
    [[3.5, 3.5, 4.0], [5.0, 4.5, 5.0], [7.0, 7.0, 7.0], [9.0, 9.0, 9.0]],
    [[2.0, 2.0, 2.5], [2.5, 2.5, 3.0], [3.5, 3.5, 4.0], [4.0, 4.0, 4.5]],
    [[1.0, 0.7, 1.0], [1.3, 1.0, 1.3], [1.7, 1.3, 1.7], [2.0, 1.5, 2.0]],
];
