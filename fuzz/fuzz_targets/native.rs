#![no_main]

use libfuzzer_sys::fuzz_target;
use unbroken::dialect::Native;

fuzz_target!(|input: &[u8]| unbroken_fuzz::decode(&Native::new(), input));
