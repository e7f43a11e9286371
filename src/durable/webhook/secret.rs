use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::WebhookError;

const PREFIX: &str = "whsec_";
// Of the bytes, by the specification.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs deliveries. It has no `Debug`.
#[derive(Clone)]
pub(super) struct SigningSecret(Hmac<Sha256>);

impl SigningSecret {
    /// Reads the secret's text: `whsec_` and base64.
    pub(super) fn parse(text: &str) -> Result<Self, WebhookError> {
        let base64 = text.strip_prefix(PREFIX).ok_or(WebhookError::Secret)?;
        let bytes = STANDARD.decode(base64).map_err(|_| WebhookError::Secret)?;
        if !LENGTHS.contains(&bytes.len()) {
            return Err(WebhookError::SecretLength { bytes: bytes.len() });
        }
        // HMAC takes keys of any length.
        let key = Hmac::new_from_slice(&bytes).map_err(|_| WebhookError::Secret)?;
        Ok(Self(key))
    }

    /// Signs a delivery: `v1,` and base64 over `id.timestamp.body`. The id has no full stop.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut hmac = self.0.clone();
        hmac.update(id.as_bytes());
        hmac.update(format!(".{timestamp}.").as_bytes());
        hmac.update(body);
        format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_of(bytes: usize) -> String {
        format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]))
    }

    /// The vectors of the reference libraries.
    #[test]
    fn signatures_are_those_of_the_reference_libraries() {
        for (secret, id, timestamp, body, signature) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let secret = SigningSecret::parse(secret).ok().unwrap();
            assert_eq!(secret.sign(id, timestamp, body.as_bytes()), signature);
        }
    }

    #[test]
    fn a_signature_covers_the_id_the_timestamp_and_the_body() {
        let secret = SigningSecret::parse(&secret_of(32)).ok().unwrap();
        let all = [
            secret.sign("a", 1, b"{}"),
            secret.sign("b", 1, b"{}"),
            secret.sign("a", 2, b"{}"),
            secret.sign("a", 1, b"{ }"),
            SigningSecret::parse(&secret_of(33))
                .ok()
                .unwrap()
                .sign("a", 1, b"{}"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(secret.sign("a", 1, b"{}"), all[0]);
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        for (bytes, expected) in [
            (0, Some("0 bytes")),
            (23, Some("23 bytes")),
            (24, None),
            (64, None),
            (65, Some("65 bytes")),
        ] {
            let error = SigningSecret::parse(&secret_of(bytes)).err();
            match (error, expected) {
                (Some(error), Some(part)) => {
                    assert!(error.to_string().contains(part), "{bytes}: {error}");
                }
                (error, expected) => assert_eq!(error.is_some(), expected.is_some(), "{bytes}"),
            }
        }
    }

    #[test]
    fn a_secret_of_another_form_is_refused_and_not_repeated() {
        let base64 = STANDARD.encode([7; 32]);
        for text in [
            String::new(),
            base64.clone(),
            format!("whsk_{base64}"),
            format!("WHSEC_{base64}"),
            format!("whsec_{base64} "),
            format!("whsec_{base64}\n"),
            format!("whsec_{}", base64.trim_end_matches('=')),
            format!("whsec_{}", "-_".repeat(16)),
            "whsec_correct horse battery staple".into(),
        ] {
            let error = SigningSecret::parse(&text).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("base64"), "{text:?}: {shown}");
            assert!(!shown.contains(&base64), "{text:?}: {shown}");
            assert!(!shown.contains("horse"), "{text:?}: {shown}");
        }
    }
}
