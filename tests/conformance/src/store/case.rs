use std::{fmt, sync::Arc, time::Duration};

use crate::{
    report::{CaseResult, Finding, Verdict},
    store::{cases, fixture::StoreFixture, harness::Harness, longer_steps::LongerSteps},
};
use unbroken::BoxFuture;

/// A test of one rule of the contract.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct StoreCase {
    /// The name: a sentence about the behaviour of a store, in snake case.
    pub name: &'static str,
    /// The rule in words, after the method that it belongs to.
    pub rule: &'static str,
    run: fn(StoreFixture) -> BoxFuture<'static, CaseResult>,
}

/// The time after which a case counts as hanging, on the runtime's clock.
const CASE_TIMEOUT: Duration = Duration::from_secs(600);

impl StoreCase {
    /// Returns the case with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Runs the case against a store from the harness and returns the verdict.
    ///
    /// A panic in the case or in the store counts as a failure.
    pub async fn run(&self, harness: Arc<dyn Harness>) -> Finding {
        let run = self.run;
        let case = async move {
            let fixture = StoreFixture::new(harness.store().await, harness);
            run(fixture).await
        };
        Finding::of_case(self.name, self.rule, CASE_TIMEOUT, case).await
    }

    /// Runs the case as [`run`](Self::run) does, for a store on a real clock.
    ///
    /// A case that fails is run again with 4 times the step of the harness, then with 16 times the step. The last
    /// finding counts, and those before it are printed to standard error. On a machine that stands still for longer
    /// than a lease of a few steps, a store seems to break a rule that it keeps. A rule that is broken is broken with
    /// any step.
    pub async fn run_on_real_clock(&self, harness: Arc<dyn Harness>) -> Finding {
        let mut finding = self.run(harness.clone()).await;
        for factor in [4, 16] {
            if !matches!(finding.verdict, Verdict::Failed(_)) {
                break;
            }
            eprintln!("{finding}\n  again with {factor} times the step");
            let harness = harness.clone();
            finding = self.run(Arc::new(LongerSteps { harness, factor })).await;
        }
        finding
    }

    /// Runs the case as a test function does.
    ///
    /// # Panics
    ///
    /// Panics if the case fails.
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
        /// All cases of the suite.
        pub const CASES: &[StoreCase] = &[$(StoreCase {
            name: stringify!($name),
            rule: $rule,
            run: |store| Box::pin(cases::$part::$name(store)),
        }),*];
    };
}

crate::for_each_store_case!(table!());

/// Declares a test function for each case of the [`store`](crate::store) suite.
///
/// Takes the attribute that makes a test of an `async fn`, and an expression for a [`Harness`]. The
/// expression is evaluated in each test.
///
/// ```
/// use unbroken::store::Memory;
///
/// unbroken_conformance::store_tests!(#[tokio::test(start_paused = true)] || async { Memory::new() });
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
            $crate::store::StoreCase::find(stringify!($name))
                .expect("the case is in the list")
                .check($harness)
                .await;
        }
    };
}
