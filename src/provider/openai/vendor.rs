/// A vendor by its host, as far as the defaults differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    /// OpenAI or Azure.
    OpenAi,
    /// A vendor that refuses calls without their reasoning.
    WantsReasoning,
    Other,
}

impl Vendor {
    pub(super) fn of(host: &str) -> Self {
        let is_of = |domain: &&str| {
            let rest = host.strip_suffix(domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if ["api.openai.com", "openai.azure.com"].iter().any(is_of) {
            return Self::OpenAi;
        }
        let wanting = ["deepseek.com", "moonshot.ai", "moonshot.cn"];
        if wanting.iter().any(is_of) {
            return Self::WantsReasoning;
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_a_vendor_are_found_by_its_host() {
        for (host, vendor) in [
            ("api.openai.com", Vendor::OpenAi),
            ("mine.openai.azure.com", Vendor::OpenAi),
            ("api.deepseek.com", Vendor::WantsReasoning),
            ("api.moonshot.ai", Vendor::WantsReasoning),
            ("api.moonshot.cn", Vendor::WantsReasoning),
            ("notdeepseek.com", Vendor::Other),
            ("deepseek.com.example", Vendor::Other),
            ("127.0.0.1", Vendor::Other),
            ("", Vendor::Other),
        ] {
            assert_eq!(Vendor::of(host), vendor, "{host}");
        }
    }
}
