#![no_main]

use libfuzzer_sys::fuzz_target;
use unbroken::dialect::AgUi;

fuzz_target!(|input: &[u8]| unbroken_fuzz::decode(&AgUi::new(), input));
