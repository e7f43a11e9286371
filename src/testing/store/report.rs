use std::fmt;

use crate::store::StoreError;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The store keeps the rule.
    Passed,
    /// It doesn't, and this was seen instead.
    Failed(String),
    /// The harness gives no way to tell, for this reason.
    NotApplicable(&'static str),
}

/// A case and its verdict.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The case's name.
    pub name: &'static str,
    /// The rule that it tests.
    pub rule: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of all cases. Its `Display` has a line for each that did not pass.
#[derive(Debug, Clone, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Every case, in the order in which they ran.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        let failed = |finding: &&Finding| matches!(finding.verdict, Verdict::Failed(_));
        self.findings.iter().filter(failed)
    }

    /// Whether no case failed.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rule, .. } = self;
        match &self.verdict {
            Verdict::Passed => write!(f, "passed  {name}"),
            Verdict::Failed(seen) => write!(f, "FAILED  {name}\n  rule: {rule}\n  seen: {seen}"),
            Verdict::NotApplicable(reason) => write!(f, "not run {name}: {reason}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            if finding.verdict != Verdict::Passed {
                writeln!(f, "{finding}")?;
            }
        }
        let failed = self.failed().count();
        write!(f, "{failed} of {} cases failed", self.findings.len())
    }
}

/// Why a case stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(String),
    NotApplicable(&'static str),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("a call that has to succeed answered {error:?}"))
    }
}

impl From<Result<(), Stop>> for Verdict {
    fn from(result: Result<(), Stop>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(Stop::Failed(seen)) => Self::Failed(seen),
            Err(Stop::NotApplicable(reason)) => Self::NotApplicable(reason),
        }
    }
}

/// Ends the case as failed unless this holds.
macro_rules! ensure {
    ($holds:expr, $($seen:tt)+) => {
        if !$holds {
            return Err($crate::testing::store::report::Stop::Failed(format!($($seen)+)));
        }
    };
}

/// Ends the case as failed unless both are equal.
macro_rules! ensure_eq {
    ($is:expr, $should:expr, $what:literal) => {{
        let (is, should) = (&$is, &$should);
        $crate::testing::store::report::ensure!(
            is == should,
            "{}: {is:?} instead of {should:?}",
            $what
        );
    }};
}

/// Ends the case as failed unless the value has this shape.
macro_rules! ensure_matches {
    ($is:expr, $shape:pat $(if $guard:expr)?, $what:literal) => {{
        let is = $is;
        $crate::testing::store::report::ensure!(
            matches!(&is, $shape $(if $guard)?),
            "{}: {is:?} instead of {}", $what, stringify!($shape)
        );
    }};
}

pub(super) use {ensure, ensure_eq, ensure_matches};
