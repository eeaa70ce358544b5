//! What the program does besides serving, each in one go.

pub mod check_config;
pub mod conntest;
pub mod identities;
pub mod jwt_test;
pub mod logout;
