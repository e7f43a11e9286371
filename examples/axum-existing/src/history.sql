-- The exchanges of all chats. None is ever changed.
CREATE TABLE IF NOT EXISTS chat_exchanges (
    -- Makes exactly one of at least one delivery.
    ending_id text PRIMARY KEY,
    owner text NOT NULL,
    chat text NOT NULL,
    number bigint NOT NULL,
    -- Not `jsonb`, which refuses the character U+0000: a client can send one, and its exchange would be delivered in vain.
    exchange json NOT NULL,
    ended timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS chat_exchanges_of_chat ON chat_exchanges (owner, chat, number);
