//! Units with their codes of IEC 62056-6-2 (DLMS Blue Book, "enum of units").

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $symbol:literal;)*) => {
        /// A unit of measurement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Unit { $($(#[$doc])* $name = $code,)* }

        impl Unit {
            /// The unit of a DLMS code, `None` for codes this meter never uses.
            pub fn from_code(code: u8) -> Option<Unit> {
                match code { $($code => Some(Unit::$name),)* _ => None }
            }

            /// The symbol people read.
            pub fn symbol(self) -> &'static str {
                match self { $(Unit::$name => $symbol,)* }
            }
        }
    };
}

units! {
    /// Minutes.
    Minute = 6, "min";
    /// Hours.
    Hour = 5, "h";
    /// Seconds.
    Second = 7, "s";
    /// Plane angle.
    Degree = 8, "deg";
    /// Temperature.
    Celsius = 9, "degC";
    /// Volume.
    CubicMetre = 13, "m3";
    /// Active power.
    Watt = 27, "W";
    /// Apparent power.
    VoltAmpere = 28, "VA";
    /// Reactive power.
    Var = 29, "var";
    /// Active energy.
    WattHour = 30, "Wh";
    /// Apparent energy.
    VoltAmpereHour = 31, "VAh";
    /// Reactive energy.
    VarHour = 32, "varh";
    /// Current.
    Ampere = 33, "A";
    /// Voltage.
    Volt = 35, "V";
    /// Frequency.
    Hertz = 44, "Hz";
    /// Percentage.
    Percent = 56, "%";
    /// A number of things.
    Count = 255, "";
}

impl Unit {
    /// The DLMS code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of IEC 62056-6-2, table "enum of units".
    #[test]
    fn codes_are_those_of_the_standard_and_come_back() {
        for (unit, code, symbol) in [
            (Unit::Watt, 27, "W"),
            (Unit::VoltAmpere, 28, "VA"),
            (Unit::Var, 29, "var"),
            (Unit::WattHour, 30, "Wh"),
            (Unit::VoltAmpereHour, 31, "VAh"),
            (Unit::VarHour, 32, "varh"),
            (Unit::Ampere, 33, "A"),
            (Unit::Volt, 35, "V"),
            (Unit::Hertz, 44, "Hz"),
            (Unit::Count, 255, ""),
        ] {
            assert_eq!((unit.code(), unit.symbol(), Unit::from_code(code)), (code, symbol, Some(unit)));
        }
        let known = (0..=255).filter_map(Unit::from_code).count();
        assert_eq!(known, 17);
        assert_eq!(Unit::from_code(0), None);
    }
}
