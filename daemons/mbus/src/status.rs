//! What meters report besides values: the status byte, application errors and alarms (EN 13757-3 and -7).

/// Words of the status byte (EN 13757-7, table 9). Empty: all is well. The three upper bits are the manufacturer's.
pub fn words(status: u8) -> Vec<String> {
    let mut out = vec![];
    match status & 3 {
        1 => out.push("BUSY".to_owned()),
        2 => out.push("ERROR".to_owned()),
        3 => out.push("ALARM".to_owned()),
        _ => {}
    }
    for (bit, word) in [(0x04, "POWER_LOW"), (0x08, "PERMANENT_ERROR"), (0x10, "TEMPORARY_ERROR")] {
        if status & bit != 0 {
            out.push(word.to_owned());
        }
    }
    if status & 0xE0 != 0 {
        out.push(format!("MANUFACTURER_{:02X}", status & 0xE0));
    }
    out
}

/// Application errors (CI 70, 6E, 6F; EN 13757-3, table 17).
pub fn application_error(code: u8) -> &'static str {
    match code {
        0 => "unspecified",
        1 => "control information not implemented",
        2 => "buffer too long, truncated",
        3 => "too many records",
        4 => "premature end of record",
        5 => "too many DIFEs",
        6 => "too many VIFEs",
        8 => "busy with another readout",
        9 => "too many readouts",
        10 => "power limit",
        0x10 => "access denied",
        0x11 => "unknown application or command",
        0x12 => "parameter missing or wrong",
        0x13 => "unknown receiver address",
        0x14 => "decryption failed",
        0x15 => "encryption not supported",
        0x16 => "signature not supported",
        0xF0 => "dynamic application error",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words() {
        assert!(super::words(0).is_empty());
        assert_eq!(super::words(0x0F), ["ALARM", "POWER_LOW", "PERMANENT_ERROR"]);
        assert_eq!(super::words(0x31), ["BUSY", "TEMPORARY_ERROR", "MANUFACTURER_20"]);
    }
}
