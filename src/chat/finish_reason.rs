use super::vocabulary::words;

words! {
    /// The reason why a model stopped.
    ///
    /// The default is [`Unknown`](Self::Unknown): where nothing is said, nothing is claimed.
    #[derive(Default)]
    pub enum FinishReason {
        /// The answer is complete.
        Stop = "stop",
        /// The answer reached the maximum number of tokens.
        Length = "length",
        /// The model asks for tools. In a `complete` event: the calls were handed to the client.
        ToolCalls = "tool_calls",
        /// The provider withheld the rest.
        ContentFilter = "content_filter",
        /// The provider said that it was done, but not why.
        #[default]
        Unknown = "unknown",
    }
}

impl FinishReason {
    /// Translates the word of a model's server.
    ///
    /// Upper and lower case, `_`, `-` and a prefix such as `FinishReason.` make no difference. A word
    /// that no vendor is known to use is kept as it is.
    ///
    /// ```
    /// use unbroken::chat::FinishReason;
    ///
    /// assert_eq!(FinishReason::of_vendor("end_turn"), FinishReason::Stop);
    /// assert_eq!(FinishReason::of_vendor("MAX_TOKENS"), FinishReason::Length);
    /// assert_eq!(FinishReason::of_vendor("bored"), FinishReason::Other("bored".into()));
    /// ```
    pub fn of_vendor(word: &str) -> Self {
        let word = word.trim();
        match &*plain(word) {
            // OpenAI; Anthropic and Bedrock; Text Generation Inference, watsonx and Together; Cohere; Baidu; LM
            // Studio.
            "stop" | "endturn" | "stopsequence" | "eos" | "eostoken" | "complete" | "completed"
            | "normal" | "eosfound" | "stopstringfound" => Self::Stop,
            // OpenAI; Anthropic and Gemini; Mistral; Anthropic, Bedrock and Zhipu; Cohere; watsonx; LM Studio.
            "length"
            | "maxtokens"
            | "maxoutputtokens"
            | "modellength"
            | "modelcontextwindowexceeded"
            | "errorlimit"
            | "tokenlimit"
            | "maxpredictedtokensreached"
            | "contextlengthreached" => Self::Length,
            // OpenAI; its older form; Anthropic and Bedrock; Cohere.
            "toolcalls" | "functioncall" | "tooluse" | "toolcall" => Self::ToolCalls,
            // OpenAI; Gemini; Anthropic; Bedrock; Cohere; Zhipu.
            "contentfilter"
            | "safety"
            | "recitation"
            | "blocklist"
            | "prohibitedcontent"
            | "spii"
            | "imagesafety"
            | "imageprohibitedcontent"
            | "imagerecitation"
            | "modelarmor"
            | "language"
            | "refusal"
            | "contentfiltered"
            | "guardrailintervened"
            | "errortoxic"
            | "sensitive" => Self::ContentFilter,
            "" | "unknown" | "unspecified" | "other" => Self::Unknown,
            _ => Self::Other(word.into()),
        }
    }

    /// Returns true if the word of a model's server says that the answer failed. A provider ends such an answer
    /// with an error.
    ///
    /// These are `error`, `failed` and `timeout`, all words that end in `error` or begin with `malformed`, those
    /// for an answer that was interrupted (`abort`, `cancelled`, `insufficient_system_resource`), and Gemini's
    /// for calls that it can't read, such as `UNEXPECTED_TOOL_CALL`.
    ///
    /// ```
    /// use unbroken::chat::FinishReason;
    ///
    /// assert!(FinishReason::of_vendor("network_error").is_failure());
    /// assert!(FinishReason::of_vendor("MALFORMED_FUNCTION_CALL").is_failure());
    /// assert!(!FinishReason::of_vendor("length").is_failure());
    /// assert!(!FinishReason::of_vendor("bored").is_failure());
    /// ```
    pub fn is_failure(&self) -> bool {
        let Self::Other(word) = self else {
            return false;
        };
        let word = plain(word);
        // Cohere, Mistral, OpenRouter, Together and watsonx; Zhipu (`network_error`); Bedrock and Gemini.
        word.ends_with("error")
            || word.starts_with("malformed")
            || matches!(
                &*word,
                // Of Responses and llama.cpp; Cohere.
                "failed" | "failure" | "timeout" | "usercancel"
                    // DeepSeek; vLLM and SGLang; watsonx.
                    | "insufficientsystemresource" | "abort" | "aborted" | "cancelled" | "canceled"
                    | "interrupted"
                    // Gemini.
                    | "unexpectedtoolcall" | "toomanytoolcalls" | "missingthoughtsignature"
            )
    }

    /// Returns true if the model ended its turn by itself: [`Stop`](Self::Stop) or
    /// [`ToolCalls`](Self::ToolCalls).
    ///
    /// After any other reason, one that this version doesn't know included, the last call may lack a
    /// part of its arguments, so no tool runs.
    ///
    /// ```
    /// use unbroken::chat::FinishReason;
    ///
    /// assert!(FinishReason::ToolCalls.is_whole());
    /// assert!(!FinishReason::Length.is_whole());
    /// ```
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Stop | Self::ToolCalls)
    }
}

/// Returns the letters and digits of a word, in lower case, without the prefix that generated clients add.
fn plain(word: &str) -> String {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    match plain.strip_prefix("finishreason") {
        Some(rest) => rest.to_owned(),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_written_as_it_was_read() {
        let read: FinishReason = serde_json::from_str(r#""insufficient_system_resource""#).unwrap();
        assert_eq!(
            read,
            FinishReason::Other("insufficient_system_resource".into())
        );
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#""insufficient_system_resource""#
        );
    }

    #[test]
    fn a_known_word_is_its_variant() {
        for word in ["stop", "length", "tool_calls", "content_filter", "unknown"] {
            let reason = FinishReason::from(word);
            assert!(!matches!(reason, FinishReason::Other(_)), "{word}");
            assert_eq!(reason.to_string(), word);
            assert_eq!(FinishReason::of_vendor(word), reason);
        }
    }

    #[test]
    fn the_words_of_vendors_are_translated_whatever_their_case() {
        use FinishReason::{ContentFilter, Length, Stop, ToolCalls, Unknown};
        for (words, reason) in [
            (
                "STOP end_turn EndTurn stop_sequence STOP_SEQUENCE eos eos_token COMPLETE normal \
                 FinishReason.STOP FINISH_REASON_STOP eosFound",
                Stop,
            ),
            (
                "max_tokens MAX_TOKENS max_output_tokens model_length maxTokens \
                 model_context_window_exceeded ERROR_LIMIT",
                Length,
            ),
            (
                "tool-calls function_call tool_use TOOL_CALL toolCalls",
                ToolCalls,
            ),
            (
                "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII refusal guardrail_intervened \
                 content_filtered ERROR_TOXIC sensitive content-filter IMAGE_PROHIBITED_CONTENT \
                 MODEL_ARMOR",
                ContentFilter,
            ),
            ("OTHER FINISH_REASON_UNSPECIFIED", Unknown),
        ] {
            for word in words.split_whitespace() {
                assert_eq!(FinishReason::of_vendor(word), reason, "{word}");
            }
        }
        for word in ["bored", "abort", "MALFORMED_FUNCTION_CALL", "pause_turn"] {
            assert_eq!(
                FinishReason::of_vendor(word),
                FinishReason::Other(word.into())
            );
        }
    }

    #[test]
    fn words_of_failures_are_told_from_those_that_nobody_knows() {
        for word in
            "error ERROR FinishReason.ERROR failed network_error server_error internal-error \
                     MALFORMED_FUNCTION_CALL malformed_tool_use malformed_model_output \
                     UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE \
                     insufficient_system_resource abort cancelled USER_CANCEL TIMEOUT"
                .split_whitespace()
        {
            let reason = FinishReason::of_vendor(word);
            assert!(reason.is_failure() && !reason.is_whole(), "{word}");
            assert_eq!(reason, FinishReason::Other(word.into()));
        }
        // The errors that Cohere calls so are a length and a filter.
        for word in
            "stop length tool_calls SAFETY unknown bored pause_turn load time_limit error_free \
                     ERROR_LIMIT ERROR_TOXIC"
                .split_whitespace()
        {
            assert!(!FinishReason::of_vendor(word).is_failure(), "{word}");
        }
    }

    #[test]
    fn only_a_turn_that_the_model_ended_is_whole() {
        for word in ["length", "content_filter", "unknown", "bored"] {
            assert!(!FinishReason::from(word).is_whole(), "{word}");
        }
        assert!(FinishReason::Stop.is_whole() && FinishReason::ToolCalls.is_whole());
        assert_eq!(FinishReason::default(), FinishReason::Unknown);
    }
}
