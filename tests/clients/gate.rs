use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

/// Gates at which answers wait until a script opens them. A script so controls the course of an answer
/// without a clock.
#[derive(Clone, Default)]
pub(crate) struct Gates {
    gates: Arc<Mutex<HashMap<String, watch::Sender<bool>>>>,
}

impl Gates {
    fn gate(&self, name: &str) -> watch::Sender<bool> {
        let mut gates = self.gates.lock().unwrap();
        gates.entry(name.to_owned()).or_default().clone()
    }

    pub(crate) fn open(&self, name: &str) {
        self.gate(name).send_replace(true);
    }

    pub(crate) async fn opened(&self, name: &str) {
        let mut opened = self.gate(name).subscribe();
        opened
            .wait_for(|opened| *opened)
            .await
            .expect("a gate is never dropped");
    }
}
