//! How a daemon starts, and its one SQLite store: learnt once, the same in every daemon.
//!
//! A daemon's `run` is, in this order: [`parent::die_with_parent`] (demo only), [`logging::init`], [`config::load`],
//! [`lock::StateLock::acquire`], [`store::Database::open`], bus name, [`notify::ready`], work,
//! [`shutdown::requested`], [`notify::stopping`].
//!
//! Nothing here knows what a daemon is for. Legally relevant, because registerd is built on it.

pub mod config;
pub mod lock;
pub mod logging;
pub mod notify;
pub mod parent;
pub mod shutdown;
pub mod store;
pub mod wake;
