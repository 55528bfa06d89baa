//! Children of the demo die with it.

/// Asks the kernel to send SIGTERM to this process when its parent ends. Only for children of a supervisor that is
/// not systemd.
///
/// # Errors
/// The kernel refuses, or `parent` is no longer the parent: the caller should end.
pub fn die_with_parent(parent: u32) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    // Between fork and the call above the parent may have ended: then init, or a subreaper, is the parent now.
    let now = rustix::process::getppid().map(|p| p.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(std::io::Error::other("the parent has already ended"));
    }
    Ok(())
}
