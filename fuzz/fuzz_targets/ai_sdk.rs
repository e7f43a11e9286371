#![no_main]

use libfuzzer_sys::fuzz_target;
use unbroken::dialect::AiSdk;

fuzz_target!(|input: &[u8]| unbroken_fuzz::decode(&AiSdk::new(), input));
