#![no_main]

use libfuzzer_sys::fuzz_target;
use unbroken::dialect::{AiSdk, DurableStreams};

fuzz_target!(|input: &[u8]| {
    unbroken_fuzz::decode(&DurableStreams::new(), input);
    unbroken_fuzz::decode(&DurableStreams::ui_messages(AiSdk::new()), input);
});
