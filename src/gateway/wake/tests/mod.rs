mod agreement;
mod handles;
mod idle;
mod keeping;
mod lifecycle;
mod readiness;
mod replicas;
mod world;
