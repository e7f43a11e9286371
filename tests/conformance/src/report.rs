use std::{borrow::Cow, fmt, future::Future, time::Duration};

use unbroken::store::StoreError;

/// The verdict on a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The server or store keeps the rule.
    Passed,
    /// The rule is broken. The text says what was observed.
    Failed(String),
    /// The rule could not be tested, for the given reason.
    NotApplicable(Cow<'static, str>),
}

/// A case and the verdict on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the case.
    pub name: &'static str,
    /// The rule that the case tests.
    pub rule: &'static str,
    /// The verdict.
    pub verdict: Verdict,
}

/// The verdicts on all cases of a suite.
///
/// Its `Display` has a paragraph for each case that did not pass, and ends with the counts.
#[derive(Debug, Clone, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Returns the findings, in the order of the suite.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the findings of cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        let failed = |finding: &&Finding| matches!(finding.verdict, Verdict::Failed(_));
        self.findings.iter().filter(failed)
    }

    /// Returns true if the case of this name ran and passed.
    pub fn has_passed(&self, name: &str) -> bool {
        let passed = |finding: &&Finding| finding.verdict == Verdict::Passed;
        self.findings
            .iter()
            .filter(passed)
            .any(|finding| finding.name == name)
    }

    /// Returns true if no case failed.
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
            Verdict::NotApplicable(reason) => {
                write!(f, "n/a     {name}\n  rule: {rule}\n  why:  {reason}")
            }
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
        let count = |counts: fn(&Verdict) -> bool| {
            let of = |finding: &&Finding| counts(&finding.verdict);
            self.findings.iter().filter(of).count()
        };
        let passed = count(|verdict| matches!(verdict, Verdict::Passed));
        let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let rest = count(|verdict| matches!(verdict, Verdict::NotApplicable(_)));
        write!(f, "{passed} passed, {failed} failed, {rest} not applicable")
    }
}

/// The result of a case.
pub(super) type CaseResult = Result<(), CaseStop>;

/// The reason for which a case stops before its end.
#[derive(Debug)]
pub(super) enum CaseStop {
    Failed(String),
    NotApplicable(Cow<'static, str>),
}

impl From<StoreError> for CaseStop {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("a call that must succeed failed with {error:?}"))
    }
}

impl From<CaseResult> for Verdict {
    fn from(result: CaseResult) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(CaseStop::Failed(seen)) => Self::Failed(seen),
            Err(CaseStop::NotApplicable(reason)) => Self::NotApplicable(reason),
        }
    }
}

impl Finding {
    /// Runs a case on a task of its own, so that a panic ends the case only.
    pub(super) async fn of_case(
        name: &'static str,
        rule: &'static str,
        timeout: Duration,
        case: impl Future<Output = CaseResult> + Send + 'static,
    ) -> Self {
        let mut task = tokio::spawn(case);
        let verdict = match tokio::time::timeout(timeout, &mut task).await {
            Ok(Ok(result)) => result.into(),
            Ok(Err(panic)) => Verdict::Failed(format!("the case panicked: {panic}")),
            Err(_) => {
                task.abort();
                Verdict::Failed(format!("the case did not end within {timeout:?}"))
            }
        };
        Self {
            name,
            rule,
            verdict,
        }
    }
}

/// Ends the case as failed unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($seen:tt)+) => {
        if !$holds {
            return Err($crate::report::CaseStop::Failed(format!($($seen)+)));
        }
    };
}

/// Ends the case as failed unless both values are equal.
macro_rules! ensure_eq {
    ($is:expr, $should:expr, $what:literal) => {{
        let (is, should) = (&$is, &$should);
        $crate::report::ensure!(
            is == should,
            "{}: {is:?} instead of {should:?}",
            format_args!($what)
        );
    }};
}

/// Ends the case as failed unless the value matches the pattern.
macro_rules! ensure_matches {
    ($is:expr, $shape:pat $(if $guard:expr)?, $what:literal) => {{
        let is = $is;
        $crate::report::ensure!(
            matches!(&is, $shape $(if $guard)?),
            "{}: {is:?} instead of {}", format_args!($what), stringify!($shape)
        );
    }};
}

pub(super) use {ensure, ensure_eq, ensure_matches};
