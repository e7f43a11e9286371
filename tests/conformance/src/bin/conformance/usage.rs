/// The text of `--help`, which also follows an error.
pub(crate) const USAGE: &str = "\
usage: conformance [OPTION]… http://HOST:PORT/PATH

  --http2                   speak HTTP/2 with prior knowledge
  --caller 'NAME: VALUE'    send this header with every request; may be repeated
  --stranger 'NAME: VALUE'  send this header as a second caller; may be repeated
  --max-body BYTES          the server's limit of a request's body (default 1048576)
  --event-bytes BYTES       the server's limit of an event (default 262144)
  --session-events N        the server's limit of the events of a session
  --session-bytes BYTES     the server's limit of the bytes of a session
  --running N               the server's limit of running sessions
  --running-per-owner N     the server's limit of running sessions of one owner, less than --running
  --idle MS                 the server's limit of a provider's silence in milliseconds, below 5000
  --age MS                  the server's limit of a session's age in milliseconds, below 5000
  --heartbeat MS            the server's period of heartbeats in milliseconds, at most 2000
  --body-timeout MS         the server's limit of the time for a request's body, in milliseconds
  --shutdown COMMAND        run this shell command to shut the server's sessions down at once
  --waive CASE=REASON       skip this case; may be repeated
  --case NAME               run this case only; may be repeated
  --list                    list the cases and their rules
  --help                    show this text

The server must wrap the scripted provider and let requests bring their `script`.";
