use redis::{Cmd, ErrorKind, ServerErrorKind, ToRedisArgs, Value};

use crate::{
    link::{CommandConnection, CommandError},
    reply::ScriptReply,
};

/// A Lua script, called by its digest, and sent whole where the server doesn't have it.
pub(crate) struct LuaScript {
    source: &'static str,
    digest: String,
}

/// A call of a script.
pub(crate) struct LuaCall<'a> {
    script: &'a LuaScript,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
    reply_bytes: usize,
}

impl LuaScript {
    fn new(source: &'static str) -> Self {
        let digest = redis::Script::new(source).get_hash().to_owned();
        Self { source, digest }
    }

    pub(crate) fn on(&self, keys: impl Into<Vec<String>>) -> LuaCall<'_> {
        LuaCall {
            script: self,
            keys: keys.into(),
            args: Vec::new(),
            reply_bytes: 0,
        }
    }
}

impl LuaCall<'_> {
    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// Sets about how many bytes the reply has, unless these are few.
    pub(crate) fn reply_bytes(mut self, bytes: usize) -> Self {
        self.reply_bytes = bytes;
        self
    }

    /// Returns the bytes of the longest argument.
    pub(crate) fn longest_arg(&self) -> usize {
        self.args.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub(crate) async fn send(self, link: &CommandConnection) -> Result<ScriptReply, CommandError> {
        let known = self.command("EVALSHA", &self.script.digest);
        let answer = match link.send_for(&known, self.reply_bytes).await {
            Err(CommandError::Refused(error))
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                // A restart or SCRIPT FLUSH has lost the script; EVAL also stores it again.
                let whole = self.command("EVAL", self.script.source);
                link.send_for(&whole, self.reply_bytes).await
            }
            other => other,
        };
        match answer? {
            Value::Array(values) => Ok(ScriptReply::new(values)),
            other => Ok(ScriptReply::new(vec![other])),
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            command.arg(arg.as_slice());
        }
        command
    }
}

macro_rules! scripts {
    ($($name:ident: $source:expr;)*) => {
        /// All scripts.
        pub(crate) struct LuaScripts {
            $(pub(crate) $name: LuaScript,)*
        }

        impl LuaScripts {
            pub(crate) fn new() -> Self {
                Self {
                    $($name: LuaScript::new($source),)*
                }
            }
        }
    };
}

/// Reads the source of a script on one session.
macro_rules! session {
    ($file:literal) => {
        concat!(
            include_str!("scripts/prelude.lua"),
            include_str!(concat!("scripts/", $file))
        )
    };
}

/// Reads the source of a script on the indexes of one scope.
macro_rules! index {
    ($file:literal) => {
        concat!(
            include_str!("scripts/index_prelude.lua"),
            include_str!(concat!("scripts/index_", $file))
        )
    };
}

scripts! {
    create: session!("create.lua");
    claim: session!("claim.lua");
    renew: session!("renew.lua");
    append: session!("append.lua");
    read: session!("read.lua");
    look: session!("look.lua");
    answer: session!("answer.lua");
    answers: session!("answers.lua");
    abort: session!("abort.lua");
    hold: session!("hold.lua");
    delete: session!("delete.lua");
    withdraw: session!("withdraw.lua");
    take: session!("take.lua");
    postpone: session!("postpone.lua");
    delivered: session!("delivered.lua");
    forget: include_str!("scripts/forget.lua");
    layout: include_str!("scripts/layout.lua");
    index_add: index!("add.lua");
    index_created: index!("created.lua");
    index_find: index!("find.lua");
    index_withdraw: index!("withdraw.lua");
    index_move: index!("move.lua");
    index_renew: index!("renew.lua");
    index_remove: index!("remove.lua");
    index_bury: index!("bury.lua");
    index_correct: index!("correct.lua");
    index_page: index!("page.lua");
    index_due: index!("due.lua");
    index_last: index!("last.lua");
    index_retime: index!("retime.lua");
}
