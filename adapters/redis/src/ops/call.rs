use unbroken::{log::Lsn, store::StoreError};

use crate::{
    Redis,
    codec::decode_tombstone,
    link::CommandError,
    reply::{DecodeError, ScriptReply},
    script::LuaCall,
};

impl Redis {
    /// Calls a script that has only one way to succeed, and returns its reply.
    pub(crate) async fn call_ok(&self, call: LuaCall<'_>) -> Result<ScriptReply, StoreError> {
        match self.call(call).await? {
            (word, reply) if word == "ok" => Ok(reply),
            _ => Err(DecodeError.into()),
        }
    }

    /// Calls a script, and returns the first word of its reply and the rest; refusals are errors.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] also if the server did not take an argument, so that the script was not called.
    pub(crate) async fn call(
        &self,
        call: LuaCall<'_>,
    ) -> Result<(String, ScriptReply), StoreError> {
        let longest = call.longest_arg();
        let reply = call.send(&self.inner.link).await;
        if let Err(CommandError::TooLarge(_)) = reply {
            self.inner.max_value.refused(longest);
            let max = self.inner.max_value.get();
            return Err(StoreError::TooLarge { max });
        }
        let mut reply = reply?;
        let word = reply.text()?;
        Err(match word.as_str() {
            "none" => StoreError::NotFound,
            "gone" => StoreError::Gone(decode_tombstone(&reply.bytes()?)?),
            "damaged" => DecodeError.into(),
            "held" => StoreError::Held,
            "fenced" => StoreError::Fenced,
            "sealed" => StoreError::Sealed,
            "rewound" => StoreError::Rewound {
                tail: Lsn::new(reply.number()?),
            },
            "conflict" => StoreError::Conflict {
                tail: Lsn::new(reply.number()?),
            },
            "full" => StoreError::Full,
            "large" => StoreError::TooLarge { max: 0 },
            "unsupported" => StoreError::Unsupported {
                format: reply.number()?,
            },
            _ => return Ok((word, reply)),
        })
    }
}
