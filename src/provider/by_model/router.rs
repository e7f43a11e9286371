use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::any::{AnyFuture, AnyProvider, AnyStream};
use crate::{
    BoxError,
    chat::{ChatRequest, Provider, ProviderError},
};

// A client's text is repeated up to this number of characters.
const MAX_SHOWN: usize = 64;

/// Creates a router without providers. [`ByModel::model`] adds one.
pub fn by_model() -> ByModel {
    ByModel::default()
}

/// A provider that passes each request to the provider of its model. The [module](super) has an
/// example, and a note on readiness.
///
/// The first model also answers requests that name none. If a name is added twice, the last
/// provider counts.
///
/// # Errors
///
/// An unknown model is a [`ProviderError`] that lists the models. It is not recoverable.
#[derive(Clone, Default)]
pub struct ByModel {
    routes: Arc<[ModelRoute]>,
    fallback: Option<Arc<dyn AnyProvider>>,
}

#[derive(Clone)]
struct ModelRoute {
    name: Arc<str>,
    // The provider's name of it.
    model: Arc<str>,
    provider: Arc<dyn AnyProvider>,
}

impl ByModel {
    /// Passes requests for the model `name` to `provider`, under the same name.
    pub fn model<P>(self, name: impl Into<Arc<str>>, provider: P) -> Self
    where
        P: Provider + Sync,
    {
        let name = name.into();
        self.alias(Arc::clone(&name), name, provider)
    }

    /// Passes requests for the model `name` to `provider`, under the name `model`.
    pub fn alias<P>(
        mut self,
        name: impl Into<Arc<str>>,
        model: impl Into<Arc<str>>,
        provider: P,
    ) -> Self
    where
        P: Provider + Sync,
    {
        let route = ModelRoute {
            name: name.into(),
            model: model.into(),
            provider: Arc::new(provider),
        };
        let mut routes = self.routes.to_vec();
        match routes.iter_mut().find(|other| other.name == route.name) {
            Some(other) => *other = route,
            None => routes.push(route),
        }
        self.routes = routes.into();
        self
    }

    /// Passes requests for any other model to `provider`, with the name unchanged. If no model was
    /// added, it also gets requests that name none.
    pub fn fallback<P>(mut self, provider: P) -> Self
    where
        P: Provider + Sync,
    {
        self.fallback = Some(Arc::new(provider));
        self
    }

    /// Returns the names of the models in the order of their addition.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| &*route.name)
    }

    fn unknown(&self, name: Option<&str>) -> ProviderError {
        let mut message = match name {
            Some(name) => {
                let shown: String = name.chars().take(MAX_SHOWN).collect();
                let more = if shown.len() < name.len() { "…" } else { "" };
                format!("there is no model `{shown}{more}` here")
            }
            None => "the request names no model".to_owned(),
        };
        for (at, name) in self.names().enumerate() {
            message += if at == 0 { "; there are `" } else { ", `" };
            message += name;
            message += "`";
        }
        ProviderError::new(message)
    }
}

impl Service<ChatRequest> for ByModel {
    type Response = AnyStream;
    type Error = BoxError;
    type Future = AnyFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: ChatRequest) -> AnyFuture {
        let route = match &request.model {
            Some(name) => self.routes.iter().find(|route| *route.name == **name),
            None => self.routes.first(),
        };
        if let Some(route) = route {
            request.model = Some((*route.model).to_owned());
            return route.provider.ask(request);
        }
        match &self.fallback {
            Some(provider) => provider.ask(request),
            None => AnyFuture::failed(self.unknown(request.model.as_deref())),
        }
    }
}

impl fmt::Debug for ByModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByModel")
            .field("models", &self.names().collect::<Vec<_>>())
            .field("has_fallback", &self.fallback.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use serde_json::json;
    use tower::{ServiceBuilder, ServiceExt};

    use super::*;
    use crate::chat::{ChatEvent, provider_fn};

    // Answers with its name and the model.
    macro_rules! named {
        ($name:literal) => {
            provider_fn(|request: ChatRequest| {
                let event = ChatEvent::custom($name, json!(request.model));
                stream::iter([Ok::<_, ProviderError>(event)])
            })
        };
    }

    async fn ask(models: &ByModel, model: Option<&str>) -> Result<ChatEvent, BoxError> {
        let mut request = ChatRequest::from_user("Hi");
        request.model = model.map(str::to_owned);
        let mut answer = models.clone().oneshot(request).await?;
        answer.next().await.unwrap()
    }

    fn two() -> ByModel {
        by_model()
            .model("a", named!("first"))
            .alias("b", "b-2025", named!("second"))
    }

    #[tokio::test]
    async fn the_model_selects_the_provider_and_is_passed_to_it() {
        for (asked, event) in [
            (Some("a"), ChatEvent::custom("first", json!("a"))),
            (Some("b"), ChatEvent::custom("second", json!("b-2025"))),
            (None, ChatEvent::custom("first", json!("a"))),
        ] {
            assert_eq!(ask(&two(), asked).await.unwrap(), event);
        }
        let replaced = two().model("a", named!("third"));
        let event = ask(&replaced, None).await.unwrap();
        assert_eq!(event, ChatEvent::custom("third", json!("a")));
        assert_eq!(replaced.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[tokio::test]
    async fn the_error_of_an_unknown_model_lists_the_models() {
        let said = async |models: &ByModel, model| {
            let error = ask(models, model).await.unwrap_err();
            let error = ProviderError::find(&*error).expect("public");
            assert!(!error.is_recoverable());
            error.message().to_owned()
        };
        assert_eq!(
            said(&two(), Some("c")).await,
            "there is no model `c` here; there are `a`, `b`"
        );
        let long = "é".repeat(1000);
        assert!(said(&two(), Some(&long)).await.len() < 250);
        assert_eq!(
            said(&by_model(), Some("c")).await,
            "there is no model `c` here"
        );
        assert_eq!(said(&by_model(), None).await, "the request names no model");
    }

    #[tokio::test]
    async fn any_other_model_goes_to_the_fallback() {
        let models = two().fallback(named!("other"));
        let event = ask(&models, Some("c")).await.unwrap();
        assert_eq!(event, ChatEvent::custom("other", json!("c")));
        let event = ask(&models, None).await.unwrap();
        assert_eq!(event, ChatEvent::custom("first", json!("a")));
        let alone = by_model().fallback(named!("other"));
        let event = ask(&alone, None).await.unwrap();
        assert_eq!(event, ChatEvent::custom("other", json!(null)));
    }

    #[tokio::test]
    async fn layers_around_one_provider_leave_the_others_alone() {
        let none = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(0)
            .service(named!("never"));
        let models = two().model("full", none);
        assert!(ask(&models, Some("full")).await.is_err());
        assert!(ask(&models, Some("a")).await.is_ok());
    }
}
