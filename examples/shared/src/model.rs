use std::env;

use unbroken::{
    BoxError,
    provider::{
        ByModel, Ollama, OpenAi, Scripted, by_model, openai_responses::ResponsesUpstreamBuilder,
    },
};

/// The model of an example.
#[derive(Debug, Clone)]
pub struct Model {
    /// The provider.
    pub provider: ByModel,
    /// The name: `openai`, `responses`, `ollama`, `genai` or `scripted`.
    pub name: &'static str,
}

impl Model {
    /// Creates the provider that the environment names.
    ///
    /// ```text
    /// OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY    a server that speaks Chat Completions
    /// OPENAI_API=responses                             with those: by the Responses API, in the background
    /// OLLAMA_MODEL, OLLAMA_HOST                        otherwise, a model of Ollama
    /// MODEL, MODEL_BASE_URL                            before both, with the feature `genai`: any model of genai;
    ///                                                  at another address than its vendor's, if there is one
    /// ```
    ///
    /// Without them the provider is scripted.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is missing or malformed, or if there is a `MODEL` and the feature `genai` is
    /// off.
    pub fn from_env() -> Result<Self, BoxError> {
        let is_set = |name| env::var_os(name).is_some();
        let of_genai = env::var_os("MODEL").filter(|model| !model.is_empty());
        refuse_without(cfg!(feature = "genai"), of_genai.is_some())?;
        #[cfg(feature = "genai")]
        if let Some(model) = of_genai {
            let model = model.into_string().map_err(|_| "`MODEL` isn't UTF-8")?;
            let client = genai_client(env::var("MODEL_BASE_URL").ok())?;
            let provider = by_model().fallback(unbroken_genai::GenAi::new(client).model(model));
            let name = "genai";
            return Ok(Self { provider, name });
        }
        // A router without models wraps a provider of any type.
        let is_responses = env::var("OPENAI_API").is_ok_and(|api| api == "responses");
        let (name, provider) = if is_responses {
            let provider = ResponsesUpstreamBuilder::from_env()?
                .background(true)
                .build()?;
            ("responses", by_model().fallback(provider))
        } else if is_set("OPENAI_BASE_URL") {
            ("openai", by_model().fallback(OpenAi::from_env()?))
        } else if is_set("OLLAMA_MODEL") {
            ("ollama", by_model().fallback(Ollama::from_env()?))
        } else {
            println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
            ("scripted", by_model().fallback(Scripted::default()))
        };
        Ok(Self { provider, name })
    }
}

/// Creates a client of all models, at an address such as that of a gateway.
#[cfg(feature = "genai")]
fn genai_client(base_url: Option<String>) -> Result<unbroken_genai::genai::Client, BoxError> {
    use unbroken_genai::genai::{Client, ServiceTarget, resolver::Endpoint};

    let Some(mut base_url) = base_url.filter(|it| !it.is_empty()) else {
        return Ok(Client::new()?);
    };
    if !base_url.ends_with('/') {
        base_url.push('/'); // genai joins the path
    }
    let client = Client::builder().with_service_target_resolver_fn(move |target: ServiceTarget| {
        let endpoint = Endpoint::from_owned(base_url.as_str());
        Ok(ServiceTarget { endpoint, ..target })
    });
    Ok(client.build()?)
}

// Another model would answer in silence.
fn refuse_without(has_genai: bool, is_asked_for: bool) -> Result<(), BoxError> {
    if is_asked_for && !has_genai {
        let message = "`MODEL` names a model of genai, and this program is built without the feature `genai`: \
                       run `axum-chat` with `--features genai`, or unset `MODEL`";
        return Err(message.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_genai_needs_the_feature() {
        let error = refuse_without(false, true).unwrap_err().to_string();
        assert!(error.contains("feature `genai`"), "{error}");
        assert!(refuse_without(true, true).is_ok());
        assert!(refuse_without(false, false).is_ok());
    }
}
