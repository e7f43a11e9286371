/// What `--help` says, and what stands below an error.
pub(crate) const USAGE: &str = "\
usage: conformance [OPTION]… http://HOST:PORT/PATH

  --http2                   speak HTTP/2 with prior knowledge
  --caller 'NAME: VALUE'    send this header with every request; may be repeated
  --stranger 'NAME: VALUE'  the header that makes a request another user's; may be repeated
  --max-body BYTES          the most bytes of a request's body there (1048576 if not told)
  --event-bytes BYTES       the most bytes of an event there (262144 if not told)
  --session-events N        the most events of a session there
  --session-bytes BYTES     the most bytes that the events of a session may have there
  --running N               how many sessions may run at once there
  --running-per-owner N     how many of one owner's; fewer than those of all
  --idle MS                 how long a provider may be silent there, in milliseconds; the case wants
                            less than 5000
  --age MS                  how long a session may run there, in milliseconds; the same
  --heartbeat MS            after how much silence there is a heartbeat, in milliseconds; the case
                            wants one of 2000 at the most
  --body-timeout MS         how long a request's body may take, in milliseconds
  --give-up COMMAND         a shell command that makes the server give up what runs, and returns
  --waive CASE=REASON       don't run this case; may be repeated
  --case NAME               run this case only; may be repeated
  --list                    name the cases and their rules
  --help                    say this

The server must wrap the scripted provider and let requests bring their `script`.";
