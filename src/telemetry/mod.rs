//! Health, metrics, the log and the audit log: the bot's counters, its liveness and
//! readiness, and the pages that show them. All but the audit log know neither users nor
//! rooms, so that they cannot name one.

mod audit;
mod client;
mod commands;
#[cfg(feature = "gateway")]
mod denials;
mod exposition;
#[cfg(feature = "gateway")]
mod gateway_audit;
#[cfg(feature = "gateway")]
mod gateway_health;
#[cfg(feature = "gateway")]
mod gateway_metrics;
mod health;
mod histogram;
mod log_filter;
mod logging;
mod metrics;
mod probe;
mod process;
#[cfg(feature = "gateway")]
mod rejections;
mod server;
mod skipped;

pub use audit::{Audit, AuditDecision, AuditEvent, AuditRecord};
pub use client::ask;
pub use commands::{CommandOutcome, MetricEvent, MetricEvents};
#[cfg(feature = "gateway")]
pub use gateway_audit::{GatewayAudit, GatewayEvent, GatewayRecord};
#[cfg(feature = "gateway")]
pub use gateway_health::GatewayHealth;
#[cfg(feature = "gateway")]
pub use gateway_metrics::GatewayMetrics;
pub use health::HealthState;
pub use log_filter::{LogFilter, LogFilterError};
pub use logging::{MAX_LINE_BYTES, init, line};
pub use probe::{Probe, ProbeAnswer, Snapshot};
#[cfg(feature = "gateway")]
pub use rejections::Rejection;
pub use server::{State, start};
