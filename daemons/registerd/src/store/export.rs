//! A range of rows as a sealed memfd in the layout of [`meter_bus::ExportHeader`].

use super::{MeterStore, TEXT_MAX};
use meter_bus::{ExportHeader, ExportRow};
use meter_core::LoggerId;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

/// Bytes collected before they are written: rows stay out of the process's memory.
const CHUNK: usize = 64 << 10;

/// Why there is no export.
pub(super) enum ExportError {
    /// The database.
    Rows(rusqlite::Error),
    /// The memory file.
    File(io::Error),
}

impl From<io::Error> for ExportError {
    fn from(e: io::Error) -> ExportError {
        ExportError::File(e)
    }
}

/// Writes the rows `from ..= to` that exist. At most the depth of a logger: 11 MB for the load profile.
pub(super) fn export(store: &MeterStore, logger: LoggerId, from: u64, to: u64) -> Result<OwnedFd, ExportError> {
    let spec = logger.spec();
    let text_bytes = if spec.text { TEXT_MAX as u32 } else { 0 };
    let mut header = ExportHeader { columns: spec.columns.len() as u32, text_bytes, rows: 0 };
    let file = memfd_create("metergate-export", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
    let mut file = File::from(file.map_err(io::Error::from)?);
    let mut chunk = header.encode().to_vec();
    let mut failed = None;
    let read = store.rows(logger, from, to, |row| {
        let row = ExportRow {
            seq: row.seq,
            start: row.start.0,
            end: row.end.0,
            status: row.status.0,
            prev: row.prev,
            hash: row.hash,
            values: row.values,
            text: row.text,
        };
        row.encode(&header, &mut chunk);
        header.rows += 1;
        if chunk.len() >= CHUNK {
            failed = file.write_all(&chunk).err();
            chunk.clear();
        }
        failed.is_none()
    });
    read.map_err(ExportError::Rows)?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    file.write_all(&chunk)?;
    // Only now is the number of rows known.
    file.rewind()?;
    file.write_all(&header.encode())?;
    file.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
    Ok(file.into())
}
