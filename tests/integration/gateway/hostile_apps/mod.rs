//! Apps that answer what no server should.

mod answers;
mod case;
mod floods;
