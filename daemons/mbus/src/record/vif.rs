//! Value information block: quantity, unit, scale and what qualifies them (EN 13757-3:2018, 6.4, tables 10 to 16).

use crate::Error;
use crate::bytes::Cursor;
use crate::record::dif::MAX_EXTENSIONS;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item_doc])* $item,)* }

        impl $name {
            /// Its word, as in driver files.
            pub fn word(self) -> &'static str {
                match self { $(Self::$item => $word,)* }
            }

            /// From its word.
            pub fn from_word(word: &str) -> Option<Self> {
                [$(Self::$item,)*].into_iter().find(|item| item.word() == word)
            }
        }
    };
}

words! {
/// What is measured or told.
Quantity {
    /// A code without a meaning in the tables: the number is kept as sent.
    #[default]
    Reserved = "reserved",
    /// Energy.
    Energy = "energy",
    /// Reactive energy.
    ReactiveEnergy = "reactive_energy",
    /// Apparent energy.
    ApparentEnergy = "apparent_energy",
    /// Volume.
    Volume = "volume",
    /// Mass.
    Mass = "mass",
    /// Time since power on.
    OnTime = "on_time",
    /// Time of operation.
    OperatingTime = "operating_time",
    /// Power.
    Power = "power",
    /// Reactive power.
    ReactivePower = "reactive_power",
    /// Apparent power.
    ApparentPower = "apparent_power",
    /// Volume flow.
    VolumeFlow = "volume_flow",
    /// Mass flow.
    MassFlow = "mass_flow",
    /// Flow temperature.
    FlowTemperature = "flow_temperature",
    /// Return temperature.
    ReturnTemperature = "return_temperature",
    /// Difference of flow and return temperature.
    TemperatureDifference = "temperature_difference",
    /// External temperature.
    ExternalTemperature = "external_temperature",
    /// Limit of a temperature.
    TemperatureLimit = "temperature_limit",
    /// Pressure.
    Pressure = "pressure",
    /// Relative humidity.
    Humidity = "humidity",
    /// Date, or date and time.
    TimePoint = "time_point",
    /// Units of a heat cost allocator.
    HeatCostAllocation = "heat_cost_allocation",
    /// Rating factors of a heat cost allocator.
    RatingFactor = "rating_factor",
    /// Averaging duration.
    AveragingDuration = "averaging_duration",
    /// Age of the values.
    ActualityDuration = "actuality_duration",
    /// Number given by the manufacturer.
    FabricationNumber = "fabrication_number",
    /// Identification number, with or without manufacturer, version and type.
    Identification = "identification",
    /// Primary address.
    BusAddress = "bus_address",
    /// Voltage.
    Voltage = "voltage",
    /// Current.
    Current = "current",
    /// Frequency.
    Frequency = "frequency",
    /// Phase angle.
    PhaseAngle = "phase_angle",
    /// Highest power, cumulated.
    CumulatedMaximumPower = "cumulated_maximum_power",
    /// Money paid.
    Credit = "credit",
    /// Money owed.
    Debit = "debit",
    /// Access number of a transmission, or another message identification.
    AccessNumber = "access_number",
    /// Device type.
    DeviceType = "device_type",
    /// Manufacturer.
    Manufacturer = "manufacturer",
    /// Parameter set.
    ParameterSet = "parameter_set",
    /// Model.
    Model = "model_version",
    /// Hardware version.
    HardwareVersion = "hardware_version",
    /// Firmware version.
    FirmwareVersion = "firmware_version",
    /// Software version.
    SoftwareVersion = "software_version",
    /// Where the customer is.
    CustomerLocation = "customer_location",
    /// Who the customer is.
    Customer = "customer",
    /// Access code of user, operator, system operator or developer.
    AccessCode = "access_code",
    /// Password.
    Password = "password",
    /// Error flags.
    ErrorFlags = "error_flags",
    /// Mask of errors.
    ErrorMask = "error_mask",
    /// Security key.
    SecurityKey = "security_key",
    /// Digital outputs.
    DigitalOutput = "digital_output",
    /// Digital inputs.
    DigitalInput = "digital_input",
    /// Baud rate.
    BaudRate = "baud_rate",
    /// Response delay, bit times.
    ResponseDelay = "response_delay",
    /// Retries.
    Retry = "retry",
    /// Remote control.
    RemoteControl = "remote_control",
    /// First storage number of a cycle.
    FirstStorage = "first_storage",
    /// Last storage number of a cycle.
    LastStorage = "last_storage",
    /// Size of a block of storage numbers.
    StorageBlock = "storage_block",
    /// What tariff and subunit mean.
    TariffDescriptor = "tariff_descriptor",
    /// Distance of storages.
    StorageInterval = "storage_interval",
    /// Operator's data.
    OperatorData = "operator_data",
    /// Second of a time point.
    Second = "second",
    /// Time since the last readout.
    SinceReadout = "duration_since_readout",
    /// Start of a tariff.
    TariffStart = "tariff_start",
    /// Duration of a tariff.
    TariffDuration = "tariff_duration",
    /// Period of a tariff.
    TariffPeriod = "tariff_period",
    /// A number without a unit.
    Dimensionless = "dimensionless",
    /// Container of radio protocol data.
    Container = "data_container",
    /// Distance of transmissions.
    TransmissionPeriod = "transmission_period",
    /// Resets.
    ResetCounter = "reset_counter",
    /// Cumulations.
    CumulationCounter = "cumulation_counter",
    /// Control signal.
    ControlSignal = "control_signal",
    /// Day of the week.
    DayOfWeek = "day_of_week",
    /// Week number.
    WeekNumber = "week_number",
    /// Time of the change of day.
    DayChange = "day_change",
    /// State of the activation of parameters.
    ParameterState = "parameter_state",
    /// Supplier's information.
    SupplierInformation = "supplier_information",
    /// Time since the last cumulation.
    SinceCumulation = "duration_since_cumulation",
    /// Time of operation of the battery.
    BatteryTime = "battery_operating_time",
    /// When the battery was changed.
    BatteryChange = "battery_change",
    /// Level of the radio signal.
    RfLevel = "rf_level",
    /// Rules of summer time.
    SummerTime = "daylight_saving",
    /// Listening windows.
    ListeningWindow = "listening_window",
    /// Days that the battery will last.
    RemainingBattery = "remaining_battery",
    /// How often the meter was stopped.
    StopCounter = "stop_counter",
    /// A unit that the meter writes out.
    PlainText = "plain_text",
    /// A code of the manufacturer's own.
    ManufacturerSpecific = "manufacturer_specific",
    /// The manufacturer's own data, up to the end of the telegram.
    ManufacturerData = "manufacturer_data",
    /// Any VIF: only in requests.
    Any = "any",
}}

words! {
/// Unit of a value.
Unit {
    /// None.
    #[default]
    None = "",
    /// Kilowatt hour.
    KilowattHour = "kWh",
    /// Watt hour.
    WattHour = "Wh",
    /// Megajoule.
    Megajoule = "MJ",
    /// Gigajoule.
    Gigajoule = "GJ",
    /// Megacalorie.
    Megacalorie = "Mcal",
    /// Reactive energy.
    KilovarHour = "kvarh",
    /// Apparent energy.
    KilovoltampereHour = "kVAh",
    /// Cubic metre.
    CubicMetre = "m3",
    /// Litre.
    Litre = "l",
    /// Cubic foot.
    CubicFoot = "ft3",
    /// American gallon.
    Gallon = "gal",
    /// Cubic metre per hour.
    CubicMetrePerHour = "m3/h",
    /// Gallons per minute.
    GallonPerMinute = "gal/min",
    /// Gallons per hour.
    GallonPerHour = "gal/h",
    /// Kilogram.
    Kilogram = "kg",
    /// Kilograms per hour.
    KilogramPerHour = "kg/h",
    /// Kilowatt.
    Kilowatt = "kW",
    /// Watt.
    Watt = "W",
    /// Megajoules per hour.
    MegajoulePerHour = "MJ/h",
    /// Reactive power.
    Kilovar = "kvar",
    /// Apparent power.
    Kilovoltampere = "kVA",
    /// Volt.
    Volt = "V",
    /// Ampere.
    Ampere = "A",
    /// Hertz.
    Hertz = "Hz",
    /// Degrees of an angle.
    Degree = "deg",
    /// Degrees Celsius.
    Celsius = "degC",
    /// Degrees Fahrenheit.
    Fahrenheit = "degF",
    /// Kelvin: differences.
    Kelvin = "K",
    /// Bar.
    Bar = "bar",
    /// Per cent.
    Percent = "%",
    /// Parts per million.
    PartsPerMillion = "ppm",
    /// Second.
    Second = "s",
    /// Minute.
    Minute = "min",
    /// Hour.
    Hour = "h",
    /// Day.
    Day = "d",
    /// Month.
    Month = "month",
    /// Year.
    Year = "y",
    /// Units of a heat cost allocator.
    Hca = "HCA",
    /// Level against a milliwatt.
    Dbm = "dBm",
    /// The meter's currency.
    Currency = "currency",
    /// Cubic metres times degrees: the integrals of some heat meters.
    CubicMetreCelsius = "m3*degC",
    /// Bits per second.
    Baud = "baud",
    /// Durations of a transmitted bit.
    BitTimes = "bit",
}}

/// How the data bytes of a value are to be read where the coding alone does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// A number: signed when binary.
    #[default]
    Number,
    /// Digits to show, with their leading zeros.
    Digits,
    /// Bits or a code: not signed.
    Bits,
    /// Date or time, by length.
    Time,
}

/// What a VIF says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Quantity.
    pub quantity: Quantity,
    /// Unit.
    pub unit: Unit,
    /// The raw number is to be multiplied by this first (60 for a flow per minute),
    pub factor: i32,
    /// then by ten to this power.
    pub exponent: i16,
    /// How the data is read.
    pub reading: Reading,
}

const fn number(quantity: Quantity, unit: Unit, exponent: i16) -> Meaning {
    Meaning { quantity, unit, factor: 1, exponent, reading: Reading::Number }
}

const fn of(quantity: Quantity, reading: Reading) -> Meaning {
    Meaning { quantity, unit: Unit::None, factor: 1, exponent: 0, reading }
}

/// Units of time of the two lowest bits.
const TIMES: [Unit; 4] = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
const LONG_TIMES: [Unit; 4] = [Unit::Hour, Unit::Day, Unit::Month, Unit::Year];

/// Which table a VIF is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Table {
    /// The VIF itself.
    #[default]
    Primary,
    /// Behind FD.
    First,
    /// Behind FB.
    Second,
    /// Behind FD FD.
    FirstExtended,
    /// Text instead of a code.
    Text,
    /// Behind FF: the manufacturer's.
    Manufacturer,
}

/// Table 10.
pub(crate) fn primary(code: u8) -> Meaning {
    use Quantity as Q;
    let (n, two) = (i16::from(code & 7), i16::from(code & 3));
    let time = TIMES[usize::from(code & 3)];
    let flow = |factor, exponent| Meaning { factor, ..number(Q::VolumeFlow, Unit::CubicMetrePerHour, exponent) };
    match code {
        0x00..=0x07 => number(Q::Energy, Unit::KilowattHour, n - 6),
        0x08..=0x0F => number(Q::Energy, Unit::Megajoule, n - 6),
        0x10..=0x17 => number(Q::Volume, Unit::CubicMetre, n - 6),
        0x18..=0x1F => number(Q::Mass, Unit::Kilogram, n - 3),
        0x20..=0x23 => number(Q::OnTime, time, 0),
        0x24..=0x27 => number(Q::OperatingTime, time, 0),
        0x28..=0x2F => number(Q::Power, Unit::Kilowatt, n - 6),
        0x30..=0x37 => number(Q::Power, Unit::MegajoulePerHour, n - 6),
        0x38..=0x3F => flow(1, n - 6),
        0x40..=0x47 => flow(60, n - 7),
        0x48..=0x4F => flow(3600, n - 9),
        0x50..=0x57 => number(Q::MassFlow, Unit::KilogramPerHour, n - 3),
        0x58..=0x5B => number(Q::FlowTemperature, Unit::Celsius, two - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, Unit::Celsius, two - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, Unit::Kelvin, two - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, Unit::Celsius, two - 3),
        0x68..=0x6B => number(Q::Pressure, Unit::Bar, two - 3),
        0x6C | 0x6D => of(Q::TimePoint, Reading::Time),
        0x6E => number(Q::HeatCostAllocation, Unit::Hca, 0),
        0x70..=0x73 => number(Q::AveragingDuration, time, 0),
        0x74..=0x77 => number(Q::ActualityDuration, time, 0),
        0x78 => of(Q::FabricationNumber, Reading::Digits),
        0x79 => of(Q::Identification, Reading::Digits),
        0x7A => of(Q::BusAddress, Reading::Bits),
        0x7E => of(Q::Any, Reading::Bits),
        _ => of(Q::Reserved, Reading::Number),
    }
}

/// Table 14: behind FD.
fn first(code: u8) -> Meaning {
    use Quantity as Q;
    let two = i16::from(code & 3);
    let (time, long) = (TIMES[usize::from(code & 3)], LONG_TIMES[usize::from(code & 3)]);
    let plain = |quantity| of(quantity, Reading::Number);
    match code {
        0x00..=0x03 => number(Q::Credit, Unit::Currency, two - 3),
        0x04..=0x07 => number(Q::Debit, Unit::Currency, two - 3),
        0x08 => of(Q::AccessNumber, Reading::Bits),
        0x09 => of(Q::DeviceType, Reading::Bits),
        0x0A => of(Q::Manufacturer, Reading::Bits),
        0x0B => of(Q::ParameterSet, Reading::Bits),
        0x0C => of(Q::Model, Reading::Digits),
        0x0D => of(Q::HardwareVersion, Reading::Digits),
        0x0E => of(Q::FirmwareVersion, Reading::Digits),
        0x0F => of(Q::SoftwareVersion, Reading::Digits),
        0x10 => of(Q::CustomerLocation, Reading::Digits),
        0x11 => of(Q::Customer, Reading::Digits),
        0x12..=0x15 => of(Q::AccessCode, Reading::Bits),
        0x16 => of(Q::Password, Reading::Bits),
        0x17 => of(Q::ErrorFlags, Reading::Bits),
        0x18 => of(Q::ErrorMask, Reading::Bits),
        0x19 => of(Q::SecurityKey, Reading::Bits),
        0x1A => of(Q::DigitalOutput, Reading::Bits),
        0x1B => of(Q::DigitalInput, Reading::Bits),
        0x1C => Meaning { unit: Unit::Baud, ..of(Q::BaudRate, Reading::Bits) },
        0x1D => Meaning { unit: Unit::BitTimes, ..of(Q::ResponseDelay, Reading::Bits) },
        0x1E => of(Q::Retry, Reading::Bits),
        0x1F => of(Q::RemoteControl, Reading::Bits),
        0x20 => of(Q::FirstStorage, Reading::Bits),
        0x21 => of(Q::LastStorage, Reading::Bits),
        0x22 => of(Q::StorageBlock, Reading::Bits),
        0x23 => of(Q::TariffDescriptor, Reading::Bits),
        0x24..=0x27 => number(Q::StorageInterval, time, 0),
        0x28 => number(Q::StorageInterval, Unit::Month, 0),
        0x29 => number(Q::StorageInterval, Unit::Year, 0),
        0x2A => of(Q::OperatorData, Reading::Bits),
        0x2B => number(Q::Second, Unit::Second, 0),
        0x2C..=0x2F => number(Q::SinceReadout, time, 0),
        0x30 => of(Q::TariffStart, Reading::Time),
        0x31..=0x33 => number(Q::TariffDuration, time, 0),
        0x34..=0x37 => number(Q::TariffPeriod, time, 0),
        0x38 => number(Q::TariffPeriod, Unit::Month, 0),
        0x39 => number(Q::TariffPeriod, Unit::Year, 0),
        0x3A => plain(Q::Dimensionless),
        0x3B => of(Q::Container, Reading::Bits),
        0x3C..=0x3F => number(Q::TransmissionPeriod, time, 0),
        0x40..=0x4F => number(Q::Voltage, Unit::Volt, i16::from(code & 0x0F) - 9),
        0x50..=0x5F => number(Q::Current, Unit::Ampere, i16::from(code & 0x0F) - 12),
        0x60 => plain(Q::ResetCounter),
        0x61 => plain(Q::CumulationCounter),
        0x62 => of(Q::ControlSignal, Reading::Bits),
        0x63 => of(Q::DayOfWeek, Reading::Bits),
        0x64 => of(Q::WeekNumber, Reading::Bits),
        0x65 => plain(Q::DayChange),
        0x66 => of(Q::ParameterState, Reading::Bits),
        0x67 => of(Q::SupplierInformation, Reading::Bits),
        0x68..=0x6B => number(Q::SinceCumulation, long, 0),
        0x6C..=0x6F => number(Q::BatteryTime, long, 0),
        0x70 => of(Q::BatteryChange, Reading::Time),
        0x71 => number(Q::RfLevel, Unit::Dbm, 0),
        0x72 => of(Q::SummerTime, Reading::Bits),
        0x73 => of(Q::ListeningWindow, Reading::Bits),
        0x74 => number(Q::RemainingBattery, Unit::Day, 0),
        0x75 => plain(Q::StopCounter),
        0x76 => of(Q::Container, Reading::Bits),
        _ => of(Q::Reserved, Reading::Number),
    }
}

/// Table 12: behind FB.
fn second(code: u8) -> Meaning {
    use Quantity as Q;
    let (n, two, one) = (i16::from(code & 7), i16::from(code & 3), i16::from(code & 1));
    match code {
        0x00 | 0x01 => number(Q::Energy, Unit::KilowattHour, one + 2),
        0x02 | 0x03 => number(Q::ReactiveEnergy, Unit::KilovarHour, one),
        0x04 | 0x05 => number(Q::ApparentEnergy, Unit::KilovoltampereHour, one),
        0x08 | 0x09 => number(Q::Energy, Unit::Gigajoule, one - 1),
        0x0C..=0x0F => number(Q::Energy, Unit::Megacalorie, two - 1),
        0x10 | 0x11 => number(Q::Volume, Unit::CubicMetre, one + 2),
        0x14..=0x17 => number(Q::ReactivePower, Unit::Kilovar, two - 3),
        0x18 | 0x19 => number(Q::Mass, Unit::Kilogram, one + 5),
        0x1A | 0x1B => number(Q::Humidity, Unit::Percent, one - 1),
        0x20 => number(Q::Volume, Unit::CubicFoot, 0),
        0x21 => number(Q::Volume, Unit::CubicFoot, -1),
        0x22 => number(Q::Volume, Unit::Gallon, -1),
        0x23 => number(Q::Volume, Unit::Gallon, 0),
        0x24 => number(Q::VolumeFlow, Unit::GallonPerMinute, -3),
        0x25 => number(Q::VolumeFlow, Unit::GallonPerMinute, 0),
        0x26 => number(Q::VolumeFlow, Unit::GallonPerHour, 0),
        0x28 | 0x29 => number(Q::Power, Unit::Kilowatt, one + 2),
        0x2A | 0x2B => number(Q::PhaseAngle, Unit::Degree, -1),
        0x2C..=0x2F => number(Q::Frequency, Unit::Hertz, two - 3),
        0x30 | 0x31 => number(Q::Power, Unit::MegajoulePerHour, one + 2),
        0x34..=0x37 => number(Q::ApparentPower, Unit::Kilovoltampere, two - 3),
        0x58..=0x5B => number(Q::FlowTemperature, Unit::Fahrenheit, two - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, Unit::Fahrenheit, two - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, Unit::Fahrenheit, two - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, Unit::Fahrenheit, two - 3),
        0x68..=0x6F => of(Q::RatingFactor, Reading::Number),
        0x70..=0x73 => number(Q::TemperatureLimit, Unit::Fahrenheit, two - 3),
        0x74..=0x77 => number(Q::TemperatureLimit, Unit::Celsius, two - 3),
        0x78..=0x7F => number(Q::CumulatedMaximumPower, Unit::Kilowatt, n - 6),
        _ => of(Q::Reserved, Reading::Number),
    }
}

/// Qualifying codes behind a VIF. Plain ones are table 15; those behind FC are table 16 and have bit 8 set; those
/// behind FF are the manufacturer's and have bit 9 set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qualifiers {
    codes: [u16; MAX_EXTENSIONS],
    count: u8,
}

/// Mark of table 16.
pub const SECOND_LEVEL: u16 = 0x100;
/// Mark of the manufacturer's own codes.
pub const MANUFACTURER_LEVEL: u16 = 0x200;

impl Qualifiers {
    /// In the order sent.
    pub fn codes(&self) -> &[u16] {
        &self.codes[..usize::from(self.count)]
    }

    /// One of them.
    pub fn has(&self, code: u16) -> bool {
        self.codes().contains(&code)
    }

    /// Adds one; `false` when there is no room.
    pub fn push(&mut self, code: u16) -> bool {
        match self.codes.get_mut(usize::from(self.count)) {
            Some(place) => {
                *place = code;
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// Without one of them.
    pub(crate) fn without(self, code: u16) -> Self {
        let mut out = Self::default();
        self.codes().iter().filter(|c| **c != code).for_each(|c| {
            out.push(*c);
        });
        out
    }

    /// Against the normal direction: backward flow, energy delivered.
    pub fn backward(&self) -> bool {
        self.has(0x3C)
    }

    /// Phase 1 to 3, 4 for neutral; 5 to 7 between phases 1-2, 2-3, 3-1.
    pub fn phase(&self) -> Option<u8> {
        self.codes().iter().find(|c| (0x101..=0x107).contains(*c)).map(|c| *c as u8)
    }

    /// An error of this record (codes 01 to 1C but for the profiles): its value means nothing.
    pub fn record_error(&self) -> bool {
        self.codes().iter().any(|c| matches!(c, 0x01..=0x0F | 0x11 | 0x15..=0x1C))
    }
}

/// Names of the qualifying codes that change what a value is, for output and driver files.
pub fn qualifier_word(code: u16) -> Option<&'static str> {
    Some(match code {
        0x12 => "average",
        0x13 => "inverse_compact_profile",
        0x14 => "relative_deviation",
        0x1E => "compact_profile_with_register",
        0x1F => "compact_profile",
        0x3A => "uncorrected",
        0x3B => "forward",
        0x3C => "backward",
        0x3E => "at_base_conditions",
        0x3F => "obis",
        0x40 => "lower_limit",
        0x41 => "exceeds_lower_limit",
        0x48 => "upper_limit",
        0x49 => "exceeds_upper_limit",
        0x68 => "during_lower_limit",
        0x69 => "leakage",
        0x6C => "during_upper_limit",
        0x6D => "overflow",
        0x7E => "future",
        0x101 => "l1",
        0x102 => "l2",
        0x103 => "l3",
        0x104 => "neutral",
        0x105 => "l1_l2",
        0x106 => "l2_l3",
        0x107 => "l3_l1",
        0x108 => "quadrant1",
        0x109 => "quadrant2",
        0x10A => "quadrant3",
        0x10B => "quadrant4",
        0x10C => "import_minus_export",
        0x110 => "absolute",
        _ => return None,
    })
}

/// VIF and VIFEs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vib {
    /// Table of the VIF.
    pub table: Table,
    /// Code in the table, without the extension bit.
    pub code: u8,
    /// What code and qualifiers say together.
    pub meaning: Meaning,
    /// Qualifying codes.
    pub qualifiers: Qualifiers,
    /// A unit written out.
    pub text: Option<Box<str>>,
    /// To add to the value, in its unit.
    pub offset: Option<crate::Decimal>,
    /// Denominator of a rate: `m3` in kWh/m3.
    pub per: Option<&'static str>,
}

impl Vib {
    /// `cursor` stands at the VIF.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let mut vib = Self::default();
        let vif = cursor.u8()?;
        let mut more = vif & 0x80 != 0;
        let mut text_follows = false;
        match vif & 0x7F {
            0x7B if more => (vib.table, more) = (Table::Second, vib.extended(cursor)?),
            0x7D if more => {
                (vib.table, more) = (Table::First, vib.extended(cursor)?);
                if vib.code == 0x7D && more {
                    (vib.table, more) = (Table::FirstExtended, vib.extended(cursor)?);
                }
            }
            0x7C => {
                vib.table = Table::Text;
                text_follows = true;
                // The standard puts the text behind the VIFEs; meters of the first edition put it before them.
                if more && text_here(cursor.rest()) {
                    vib.text = Some(take_text(cursor)?);
                    text_follows = false;
                }
            }
            0x7F => vib.table = Table::Manufacturer,
            code => vib.code = code,
        }
        vib.meaning = match vib.table {
            Table::Primary => primary(vib.code),
            Table::First => first(vib.code),
            Table::Second => second(vib.code),
            Table::FirstExtended => of(Quantity::Reserved, Reading::Number),
            Table::Text => of(Quantity::PlainText, Reading::Number),
            Table::Manufacturer => of(Quantity::ManufacturerSpecific, Reading::Number),
        };
        let mut level = if vib.table == Table::Manufacturer { MANUFACTURER_LEVEL } else { 0 };
        let mut count = 0;
        while more {
            if count == MAX_EXTENSIONS {
                return Err(Error::Value("number of VIFEs"));
            }
            let vife = cursor.u8()?;
            count += 1;
            more = vife & 0x80 != 0;
            let code = u16::from(vife & 0x7F);
            match (level, code) {
                (0, 0x7C) if more => level = SECOND_LEVEL,
                (0, 0x7F) if more => level = MANUFACTURER_LEVEL,
                _ => {
                    vib.qualifiers.push(level | code);
                    if level == SECOND_LEVEL {
                        level = 0;
                    }
                }
            }
        }
        if text_follows {
            vib.text = Some(take_text(cursor)?);
        }
        if vib.table != Table::Manufacturer && !vib.qualifiers.codes().is_empty() {
            vib.qualify();
        }
        Ok(vib)
    }

    /// Reads the true VIF behind FB or FD; whether VIFEs follow.
    fn extended(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Error> {
        let byte = cursor.u8()?;
        self.code = byte & 0x7F;
        Ok(byte & 0x80 != 0)
    }

    /// What the qualifiers change: scale, offset, rate, or the whole quantity into a date or duration.
    fn qualify(&mut self) {
        let mut offset = None;
        for code in self.qualifiers.codes() {
            match *code {
                0x20..=0x27 => {
                    self.per = Some(["s", "min", "h", "d", "week", "month", "y", "revolution"][usize::from(code & 7)]);
                }
                0x2C..=0x33 => {
                    self.per = Some(["l", "m3", "kg", "K", "kWh", "GJ", "kW", "(K*l)"][usize::from(code - 0x2C)]);
                }
                0x34 => self.per = Some("V"),
                0x35 => self.per = Some("A"),
                // When something began or ended.
                0x39 | 0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E | 0x6F => {
                    self.meaning =
                        Meaning { quantity: self.meaning.quantity, ..of(Quantity::TimePoint, Reading::Time) };
                }
                // How long it lasted.
                0x50..=0x67 => {
                    self.meaning = number(self.meaning.quantity, TIMES[usize::from(code & 3)], 0);
                }
                // How often a limit was passed.
                0x41 | 0x49 => self.meaning = of(self.meaning.quantity, Reading::Number),
                0x70..=0x77 => self.meaning.exponent += (*code as i16 & 7) - 6,
                0x78..=0x7B => offset = Some((*code as i16 & 3) - 3),
                0x7D => self.meaning.exponent += 3,
                _ => {}
            }
        }
        self.offset = offset.map(|exponent| crate::Decimal::new(1, exponent));
    }
}

/// A length byte and that many printable characters.
fn text_here(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first() else { return false };
    let text = rest.get(..usize::from(*length)).unwrap_or_default();
    *length > 0 && text.len() == usize::from(*length) && text.iter().all(|b| (0x20..0x7F).contains(b) || *b >= 0xA0)
}

fn take_text(cursor: &mut Cursor<'_>) -> Result<Box<str>, Error> {
    let length = usize::from(cursor.u8()?);
    Ok(super::latin1_reversed(cursor.take(length)?).into())
}
