use crate::chat::{ChatRequest, Liveness, TurnUsage};

/// The places to which a call reports apart from its events.
#[derive(Debug, Clone)]
pub(crate) struct CallReports {
    pub(crate) liveness: Liveness,
    pub(super) turn_usage: TurnUsage,
}

impl CallReports {
    pub(crate) fn of(request: &ChatRequest) -> Self {
        Self {
            liveness: request.liveness.clone(),
            turn_usage: request.turn_usage.clone(),
        }
    }

    /// Creates reports of a call whose bytes are no progress of its answer.
    #[cfg(feature = "unbroken-upstream")]
    pub(crate) fn without_liveness(request: &ChatRequest) -> Self {
        Self::of(request).on(Liveness::default())
    }

    /// Reports signs of life on this clock.
    #[cfg(feature = "unbroken-upstream")]
    pub(crate) fn on(self, liveness: Liveness) -> Self {
        Self { liveness, ..self }
    }
}
