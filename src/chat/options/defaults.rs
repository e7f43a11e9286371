use super::ChatOptions;

impl ChatOptions {
    /// Sets those that aren't set to the values of `defaults`; provider fields one by one.
    pub fn fill_in(&mut self, defaults: &Self) {
        fill(&mut self.temperature, defaults.temperature.as_ref());
        fill(&mut self.top_p, defaults.top_p.as_ref());
        fill(
            &mut self.max_output_tokens,
            defaults.max_output_tokens.as_ref(),
        );
        if self.stop.is_empty() {
            self.stop.clone_from(&defaults.stop);
        }
        fill(&mut self.seed, defaults.seed.as_ref());
        fill(&mut self.tool_choice, defaults.tool_choice.as_ref());
        fill(
            &mut self.parallel_tool_calls,
            defaults.parallel_tool_calls.as_ref(),
        );
        fill(&mut self.reasoning, defaults.reasoning.as_ref());
        fill(&mut self.response_format, defaults.response_format.as_ref());
        for (name, value) in &defaults.provider_fields {
            let field = self.provider_fields.entry(name);
            field.or_insert_with(|| value.clone());
        }
    }
}

fn fill<T>(option: &mut Option<T>, default: Option<&T>)
where
    T: Clone,
{
    if option.is_none() {
        *option = default.cloned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_option_that_is_set_stays_and_the_others_are_filled_in() {
        let read = |wire: &Value| serde_json::from_value::<ChatOptions>(wire.clone()).unwrap();
        let whole = |number: u32, word: &str| {
            json!({
                "temperature": f64::from(number), "topP": 1.0 / f64::from(number + 1),
                "maxOutputTokens": number + 1, "stop": [word], "seed": number, "toolChoice": {"name": word},
                "parallelToolCalls": number == 0, "reasoning": {"effort": if number == 0 {"low"} else {"high"}},
                "responseFormat": {"type": "json_schema", "name": word, "schema": {}},
                "providerFields": {word: number, "both": number},
            })
        };
        let (own, defaults) = (whole(0, "own"), whole(1, "default"));
        for name in own.as_object().unwrap().keys() {
            let mut options = read(&json!({name: own[name]}));
            options.fill_in(&read(&defaults));
            let mut expected = defaults.clone();
            expected[name] = own[name].clone();
            if name == "providerFields" {
                expected[name]["default"] = json!(1);
            }
            assert_eq!(serde_json::to_value(&options).unwrap(), expected, "{name}");
        }
    }
}
