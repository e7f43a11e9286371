use std::{fmt, sync::Arc, time::Duration};

use crate::{
    report::{CaseStop, Finding, Verdict},
    store::{cases, fixture::StoreFixture, harness::Harness},
};
use unbroken::store::BoxFuture;

/// One rule of the contract, as a test.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct StoreCase {
    /// A sentence about a store's behaviour.
    pub name: &'static str,
    /// The rule in words.
    pub rule: &'static str,
    run: fn(StoreFixture) -> BoxFuture<'static, Result<(), CaseStop>>,
}

/// A case that takes longer hangs. Of the machine's clock or, where it is paused, of tokio's.
const PATIENCE: Duration = Duration::from_secs(600);

impl StoreCase {
    /// The case with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Tests a fresh store. A panic inside is a failure.
    pub async fn run(&self, harness: Arc<dyn Harness>) -> Finding {
        let bed = StoreFixture::new(harness.store().await, harness);
        Finding::of(self.name, self.rule, PATIENCE, (self.run)(bed)).await
    }

    /// Tests a fresh store, as a test function does.
    ///
    /// # Panics
    ///
    /// If the case fails.
    pub async fn check(&self, harness: impl Harness) {
        let finding = self.run(Arc::new(harness)).await;
        assert!(!matches!(finding.verdict, Verdict::Failed(_)), "{finding}");
    }
}

impl fmt::Debug for StoreCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreCase")
            .field("name", &self.name)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

macro_rules! table {
    ($($part:ident::$name:ident $rule:literal)*) => {
        /// Every case.
        pub const CASES: &[StoreCase] = &[$(StoreCase {
            name: stringify!($name),
            rule: $rule,
            run: |bed| Box::pin(cases::$part::$name(bed)),
        }),*];
    };
}

crate::for_each_store_case!(table!());

/// Makes a test function of each case of the store's conformance suite.
///
/// Takes the attribute that makes a test of an `async fn`, and an expression that makes a
/// [`Harness`].
///
/// ```
/// use unbroken::store::Memory;
///
/// unbroken::store_tests!(#[tokio::test(start_paused = true)] || async { Memory::new() });
/// ```
#[macro_export]
macro_rules! store_tests {
    (#[$test:meta] $harness:expr) => {
        $crate::for_each_store_case!($crate::__store_tests!(
            #[$test]
            $harness
        ));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    (#[$test:meta] $harness:expr; $($part:ident::$name:ident $rule:literal)*) => {
        $crate::__store_tests!(@ [#[$test] $harness] $($name)*);
    };
    (@ $head:tt $($name:ident)*) => {
        $($crate::__store_tests!(# $head $name);)*
    };
    (# [#[$test:meta] $harness:expr] $name:ident) => {
        #[$test]
        async fn $name() {
            $crate::store::StoreCase::named(stringify!($name))
                .expect("the case is in the list")
                .check($harness)
                .await;
        }
    };
}
