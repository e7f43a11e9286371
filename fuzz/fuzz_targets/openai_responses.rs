#![no_main]

use libfuzzer_sys::fuzz_target;
use unbroken::dialect::OpenAiResponses;

fuzz_target!(|input: &[u8]| unbroken_fuzz::decode(&OpenAiResponses::new(), input));
