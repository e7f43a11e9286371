use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Semaphore;
use unbroken::{
    BoxError, BoxFuture,
    durable::{ChatExchange, History},
    log::{ChatId, Owner},
};

use crate::server::until;

/// A table of conversations, which the test can hold up and break.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<TableState>);

#[derive(Default)]
struct TableState {
    rows: Mutex<Vec<(Option<Owner>, ChatId, ChatExchange)>>,
    is_held: AtomicBool,
    held: Mutex<Vec<(u64, Arc<Semaphore>)>>,
    is_broken: AtomicBool,
    /// A gate before the next load, which is passed once.
    loads: Mutex<Option<Arc<Semaphore>>>,
    appended: AtomicUsize,
}

impl Table {
    /// Makes further appends wait.
    pub(crate) fn hold(&self) {
        self.0.is_held.store(true, SeqCst);
    }

    /// Waits until so many appends are held up.
    pub(crate) async fn held(&self, count: usize) {
        until(async || self.0.held.lock().unwrap().len() == count).await;
    }

    /// Lets the last append of this number go on.
    pub(crate) fn unhold(&self, number: u64) {
        let held = self.0.held.lock().unwrap();
        let (_, gate) = held.iter().rfind(|(held, _)| *held == number).unwrap();
        gate.add_permits(1);
    }

    /// Lets the last append of this number go on, and waits until it is done.
    pub(crate) async fn release(&self, number: u64) {
        let before = self.appended();
        self.unhold(number);
        until(async || self.appended() > before).await;
    }

    /// Makes the next load wait for a permit. It reads the rows then.
    pub(crate) fn hold_load(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.0.loads.lock().unwrap() = Some(gate.clone());
        gate
    }

    /// Waits until the load that is to wait has begun.
    pub(crate) async fn loading(&self) {
        until(async || self.0.loads.lock().unwrap().is_none()).await;
    }

    pub(crate) fn break_it(&self, is_broken: bool) {
        self.0.is_broken.store(is_broken, SeqCst);
    }

    /// Returns the number of appends that are done, repeated ones included.
    pub(crate) fn appended(&self) -> usize {
        self.0.appended.load(SeqCst)
    }

    /// Returns the rows, in the order in which they came.
    pub(crate) fn rows(&self) -> Vec<ChatExchange> {
        let rows = self.0.rows.lock().unwrap();
        rows.iter().map(|(.., row)| row.clone()).collect()
    }

    /// Waits for so many rows.
    pub(crate) async fn has(&self, count: usize) -> Vec<ChatExchange> {
        until(async || self.rows().len() == count).await;
        self.rows()
    }
}

impl History for Table {
    fn append<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        exchange: &'a ChatExchange,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            if self.0.is_held.load(SeqCst) {
                let gate = Arc::new(Semaphore::new(0));
                let held = (exchange.number, gate.clone());
                self.0.held.lock().unwrap().push(held);
                gate.acquire().await?.forget();
            }
            if self.0.is_broken.load(SeqCst) {
                return Err("as the test wanted".into());
            }
            let mut rows = self.0.rows.lock().unwrap();
            if rows
                .iter()
                .all(|(.., row)| row.ending_id != exchange.ending_id)
            {
                rows.push((owner.cloned(), chat.clone(), exchange.clone()));
            }
            self.0.appended.fetch_add(1, SeqCst);
            Ok(())
        })
    }

    fn load<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
    ) -> BoxFuture<'a, Result<Vec<ChatExchange>, BoxError>> {
        Box::pin(async move {
            let gate = self.0.loads.lock().unwrap().take();
            if let Some(gate) = gate {
                gate.acquire().await?.forget();
            }
            if self.0.is_broken.load(SeqCst) {
                return Err("as the test wanted".into());
            }
            let rows = self.0.rows.lock().unwrap();
            let of_chat = rows
                .iter()
                .filter(|row| (row.0.as_ref(), &row.1) == (owner, chat));
            Ok(of_chat.map(|(.., row)| row.clone()).collect())
        })
    }
}
