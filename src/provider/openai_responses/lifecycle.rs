//! The events of a response as a whole.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{position::is_id, turn::ResponsesTurn};
use crate::{
    chat::{ChatEvent, FinishReason, ProviderError, Usage},
    provider::http::{
        code_of_error, is_model,
        json::{count, each_element, is_truthy, members, name, string},
        refused,
    },
};

impl ResponsesTurn {
    /// Takes a response that goes on.
    pub(super) fn begin(
        &mut self,
        response: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Ok([id, model]) = members(response.get(), ["id", "model"]) else {
            self.odd.note("response");
            return Ok(());
        };
        self.name_model(model);
        let Some(id) = id.and_then(name).filter(|id| is_id(id)) else {
            return Ok(());
        };
        match &self.response {
            Some(known) if *known != id && self.background => return Err(ProviderError::cut()),
            Some(_) => {}
            None => {
                self.response = Some(id);
                let position = self.position().map(|position| position.event());
                out.extend(position.map(ChatEvent::from));
            }
        }
        Ok(())
    }

    fn name_model(&mut self, model: Option<&RawValue>) {
        if self.model.is_none() {
            let model = model.and_then(string);
            self.model = model.filter(|model| is_model(model));
        }
    }

    /// Takes the end of a response.
    pub(super) fn finish(
        &mut self,
        class: &str,
        response: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = [
            "model",
            "status",
            "error",
            "incomplete_details",
            "usage",
            "output",
        ];
        let found = response.map(|response| members(response.get(), names));
        let is_object = matches!(found, Some(Ok(_)));
        let [model, status, error, details, usage, output] = if let Some(Ok(found)) = found {
            found
        } else {
            self.odd.note("response");
            [None; 6]
        };
        self.name_model(model);
        if let Some(counts) = usage {
            self.usage = self.read_usage(counts);
        }
        let status = status.and_then(string);
        let has_error = error.is_some_and(is_truthy);
        let (reason, is_cut) = match details.map(|it| (it, members(it.get(), ["reason"]))) {
            // Details without a reason say nothing.
            Some((_, Ok([reason]))) => (reason, reason.is_some_and(is_truthy)),
            Some((odd, Err(_))) => (None, is_truthy(odd)),
            None => (None, false),
        };
        let reason = reason
            .and_then(string)
            .map(|it| FinishReason::of_vendor(&it));
        let ends = match (class, status.as_deref()) {
            _ if has_error => "failed",
            // An event of success with a response that isn't.
            (_, Some(status @ ("failed" | "cancelled"))) => status,
            ("completed" | "done", Some("incomplete")) => "incomplete",
            ("completed" | "done", None | Some("completed")) if is_cut => "incomplete",
            ("done", Some("completed")) => "completed",
            // It has ended, whatever it doesn't say of itself.
            ("done", None) if is_object && output.is_some() => "incomplete",
            ("done", _) => return Ok(()),
            ("completed", None | Some("completed")) if is_object => "completed",
            // A response that isn't there, or still runs, is no answer. In the background, the server is asked.
            ("completed", _) => return Err(ProviderError::cut()),
            (class, _) => class,
        };
        let has_failed =
            ends == "incomplete" && reason.as_ref().is_some_and(FinishReason::is_failure);
        if ends == "failed" || has_failed {
            let code = error.filter(|_| has_error).and_then(code_of_error);
            let told = self.reported.take().filter(|_| code.is_none());
            return Err(self.failed(told.unwrap_or_else(|| refused(None, code, None))));
        }
        if ends == "cancelled" {
            let error = ProviderError::new("the model's server was told to stop this answer");
            return Err(self.failed(error.recoverable(true)));
        }
        let reason = match ends {
            "completed" => FinishReason::Stop,
            // It isn't whole, whatever it says.
            _ => reason.filter(|it| !it.is_whole()).unwrap_or_default(),
        };
        if let Some(output) = output {
            self.output(output, out)?;
        }
        if ends == "completed" && self.background && !self.calls.are_whole() {
            return Err(ProviderError::cut());
        }
        self.is_over = true;
        self.finish = Some(reason);
        Ok(())
    }

    /// Takes what of the whole output hasn't come in events.
    fn output(
        &mut self,
        output: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut place = 0;
        let listed = each_element(output, |item| {
            let id = members(item.get(), ["id"]).ok().and_then(|[id]| id);
            let id = id.and_then(name);
            if let Some(key) = self.items.unfinished(place, id.as_deref()) {
                self.item_done(key, item, out)?;
            }
            place += 1;
            Ok(())
        })?;
        if !listed {
            self.odd.note("output");
        }
        Ok(())
    }

    fn read_usage(&mut self, counts: &RawValue) -> Option<Usage> {
        let names = [
            "input_tokens",
            "output_tokens",
            "input_tokens_details",
            "output_tokens_details",
        ];
        let Ok([input, output, of_input, of_output]) = members(counts.get(), names) else {
            self.odd.note("usage");
            return None;
        };
        let input = self.odd.read("usage.input_tokens", input, count);
        let output = self.odd.read("usage.output_tokens", output, count);
        if input.is_none() && output.is_none() {
            return None;
        }
        let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
        let detail = |details: Option<&RawValue>, name| {
            let [detail] = members(details?.get(), [name]).ok()?;
            detail.and_then(count)
        };
        usage.cached_input_tokens = detail(of_input, "cached_tokens");
        usage.reasoning_tokens = detail(of_output, "reasoning_tokens");
        Some(usage)
    }
}
