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
        let letters = |byte: &u8| byte.is_ascii_alphanumeric();
        let plain: Vec<u8> = word.bytes().filter(letters).collect();
        let plain = plain.to_ascii_lowercase();
        let plain = plain.strip_prefix(b"finishreason").unwrap_or(&plain);
        match plain {
            // OpenAI; Anthropic and Bedrock; Text Generation Inference and Together; Cohere; Baidu.
            b"stop" | b"endturn" | b"stopsequence" | b"eos" | b"eostoken" | b"complete"
            | b"completed" | b"normal" => Self::Stop,
            // OpenAI; Anthropic and Gemini; Mistral; Anthropic; Cohere; watsonx.
            b"length"
            | b"maxtokens"
            | b"maxoutputtokens"
            | b"modellength"
            | b"modelcontextwindowexceeded"
            | b"errorlimit"
            | b"tokenlimit" => Self::Length,
            // OpenAI; its older form; Anthropic and Bedrock; Cohere.
            b"toolcalls" | b"functioncall" | b"tooluse" | b"toolcall" => Self::ToolCalls,
            // OpenAI; Gemini; Anthropic; Bedrock; Cohere; Zhipu.
            b"contentfilter"
            | b"safety"
            | b"recitation"
            | b"blocklist"
            | b"prohibitedcontent"
            | b"spii"
            | b"imagesafety"
            | b"language"
            | b"refusal"
            | b"contentfiltered"
            | b"guardrailintervened"
            | b"errortoxic"
            | b"sensitive" => Self::ContentFilter,
            b"" | b"unknown" | b"unspecified" | b"other" => Self::Unknown,
            _ => Self::Other(word.into()),
        }
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
                 FinishReason.STOP FINISH_REASON_STOP",
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
                 content_filtered ERROR_TOXIC sensitive content-filter",
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
    fn only_a_turn_that_the_model_ended_is_whole() {
        for word in ["length", "content_filter", "unknown", "bored"] {
            assert!(!FinishReason::from(word).is_whole(), "{word}");
        }
        assert!(FinishReason::Stop.is_whole() && FinishReason::ToolCalls.is_whole());
        assert_eq!(FinishReason::default(), FinishReason::Unknown);
    }
}
