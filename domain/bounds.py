"""Every limit of rt, with its unit in its name. What goes over gets a clear error or a recorded truncation."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
NUMBER_MAX: Final = 2**53 - 1  # what every reader of JSON holds exactly

# intake
KIND_CHARS_MAX: Final = 200
SUBJECT_CHARS_MAX: Final = 500
DESCRIPTION_CHARS_MAX: Final = 20_000
PAYLOAD_BYTES_MAX: Final = MIB
PAYLOAD_ENV_BYTES_MAX: Final = 100 * KIB  # a larger payload reaches a script as a file only
DOCUMENT_BYTES_MAX: Final = 2 * MIB
JSON_DEPTH_MAX: Final = 64
PRIORITY_MIN: Final = -1000
PRIORITY_MAX: Final = 1000
ATTEMPTS_MAX: Final = 100
DELAY_MINUTES_MAX: Final = 525_600
TIME_US_MAX: Final = NUMBER_MAX
KEY_CHARS_MAX: Final = 500
REASON_CHARS_MAX: Final = 2_000
PREFIX_CHARS_MIN: Final = 4  # of an id
EXTENDS_MAX: Final = 16  # configuration files on top of each other
ENV_FILE_BYTES_MAX: Final = 256 * KIB
ENV_FILE_LINES_MAX: Final = 10_000

# processes
ARGUMENT_BYTES_MAX: Final = 128 * KIB - 1  # MAX_ARG_STRLEN of Linux, without the closing NUL
ARGV_BYTES_MAX: Final = MIB
READ_BYTES_MAX: Final = 64 * KIB
BUFFERED_BYTES_MAX: Final = MIB  # read from a call's pipes and not yet taken by its run
TIMEOUT_S_MAX: Final = 30 * 86_400
GRACE_S: Final = 5.0
GRACE_S_MAX: Final = 600.0
KILL_S_MAX: Final = 2.0  # how long KILL is repeated before what is left counts as escaped
STDIN_GRACE_S: Final = 2.0  # after the end of a held stdin, before TERM
DRAIN_S: Final = 2.0
ESCAPED_MAX: Final = 32  # left-over processes named in one event

# output
CHUNK_BYTES_MAX: Final = 64 * KIB
QUIET_S: Final = 0.025
PARTIAL_LINE_S: Final = 0.2  # a line without its end is stored after this much silence
OUTPUT_BYTES_MAX: Final = 64 * MIB
ANSWER_BYTES_MAX: Final = 256 * KIB  # the tail of stdout in which an outcome is looked for
ERRORS_BYTES_MAX: Final = 64 * KIB  # the tail of stderr of a coding agent
REPORTS_MAX: Final = 1_000  # events of one run that its agent's lines make; what comes after is output only
SUMMARY_CHARS_MAX: Final = 4_000
OUTCOME_ITEMS_MAX: Final = 1_000
OUTCOME_EFFORT_CHARS_MAX: Final = 2 * MIB  # looked at behind braces that open no JSON object
SECRET_BYTES_MIN: Final = 6
SECRET_BYTES_MAX: Final = 8 * KIB
SECRETS_MAX: Final = 1_000
REPORT_LINE_BYTES_MAX: Final = MIB  # of a coding agent; a longer line is no event
REPORT_TEXT_CHARS_MAX: Final = 500
REPORT_CAUSE_CHARS_MAX: Final = 100
ERROR_LOOK_CHARS_MAX: Final = 1_000  # of a message in which a known error is looked for
DIGITS_MAX: Final = 16  # of a number before its point; more would be expanded to as many digits
ANSWER_PARTS_MAX: Final = 64  # small pieces of output that are kept before they are joined

# the log
BLOB_BYTES_MAX: Final = 4 * MIB
WRITER_QUEUE_BYTES_MAX: Final = 8 * MIB
GROUP_MAX: Final = 256
EVENT_COST_BYTES: Final = 512  # what an event counts for in the writer's queue, beside its body
PAGE_EVENTS_MAX: Final = 1_000
FOLLOW_POLL_S: Final = 0.02
HEAD_RECORD_S: Final = 0.1
VERSIONS_KEPT_MAX: Final = 20_000  # streams whose last version is remembered between appends

# dispatch
CONCURRENCY: Final = 4
CONCURRENCY_MAX: Final = 256
ATTEMPTS: Final = 3
BACKOFF_BASE_S: Final = 60.0
BACKOFF_MAX_S: Final = 3600.0
BACKOFF_S_MAX: Final = 30 * 86_400.0
RECOVERY_CHECK_S: Final = 1.0
MEASURE_EVERY_S: Final = 600.0
MEASURED_APPENDS_MAX: Final = 4_096  # the latest, of which quantiles are told

# work that comes in and goes out
FEEDER_FAILURES_MAX: Final = 5  # in a row, then it is parked
FEEDER_PAUSE_S: Final = 60.0  # how long a feeder of the dispatcher rests then
SCHEDULE_NAME_CHARS_MAX: Final = 120  # a task's source is made of it, and has 200
INTERVAL_S_MAX: Final = 3650 * 86_400
CRON_CHARS_MAX: Final = 200
ZONE_CHARS_MAX: Final = 100
JITTER_S_MAX: Final = 86_400
SCHEDULE_LATE_US_MAX: Final = 600 * 1_000_000  # with catch_up "skip", a slot that is later than this counts as missed
CLOCK_BACK_US_MAX: Final = 86_400 * 1_000_000  # a last evaluation further in the future than this was a wrong clock
CATCH_UP_MAX: Final = 100  # tasks of one evaluation of a schedule
SCHEDULE_LOOK_BACK_MAX: Final = 50  # slots whose tasks may still be open
BATCH_LINES_MAX: Final = 100_000
LINE_BYTES_MAX: Final = 2 * MIB
PLAIN_CHARS_MAX: Final = 65_536  # of a document for the fast decoder, which takes 10 µs for a number such as 9e300
INTAKE_GROUP_BYTES_MAX: Final = 8 * MIB  # of lines that share a transaction, whoever else wants to write waits for it
SENSOR_OUTPUT_BYTES_MAX: Final = 16 * MIB
SENSOR_EVENTS_MAX: Final = 10_000  # of one run of a sensor's program
BRIDGE_TITLE_CHARS_MAX: Final = 500  # longer ones are cut, visibly
BRIDGE_BODY_CHARS_MAX: Final = 20_000  # of a summary or a message; longer ones are cut, visibly
BRIDGE_TEXT_CHARS_MAX: Final = 1_000_000  # of what is cut: nobody wrote a longer one, so it is refused
BRIDGE_NAME_CHARS_MAX: Final = 300  # a part of it names something else, so a longer one is refused
BRIDGE_URL_CHARS_MAX: Final = 2_000
BRIDGE_FORM_DEPTH_MAX: Final = 8  # of a command's options and a form's fields
FOLLOW_UPS_MAX: Final = 20
FOLLOW_UP_DEPTH_MAX: Final = 5
MESSAGES_MAX: Final = 20
MESSAGE_BYTES_MAX: Final = 64 * KIB
OUTBOX_ATTEMPTS: Final = 8
OUTBOX_RETRY_S: Final = 5.0
OUTBOX_RETRY_S_MAX: Final = 3600.0
CREDENTIAL_S: Final = 15.0
CREDENTIAL_S_MAX: Final = 120.0
CREDENTIAL_ID_CHARS_MAX: Final = 200
CREDENTIAL_OUTPUT_BYTES_MAX: Final = 64 * KIB  # of the command; a value is smaller still
CREDENTIAL_NAMED_CHARS_MAX: Final = 500  # of an id or a path in a message
CREDENTIALS_MAX: Final = 100  # references in one environment
QUEUE_WAIT_S_MAX: Final = 365 * 86_400
HINT_S_MAX: Final = 86_400
HINT_REFUNDS_MAX: Final = 20  # in a row for one task
HINT_TEXT_CHARS_MAX: Final = 64 * KIB  # the end of an error text in which a hint is looked for
HINT_DATE_CHARS_MAX: Final = 64
PARSER_PHRASES_MAX: Final = 50  # of one parser, and as many mentions that it requires
PROBE_S: Final = 2.5
PROBE_KEPT_S: Final = 30.0
FALLBACKS_MAX: Final = 3
CIRCUIT_FAILURES: Final = 3
CIRCUIT_S: Final = 60.0
GIT_S: Final = 10.0
GIT_OUTPUT_BYTES_MAX: Final = 16 * MIB
GIT_ERROR_BYTES_MAX: Final = 4 * KIB
GIT_FILTERS_MAX: Final = 50
GIT_STATUS_LINES_MAX: Final = 2_000
GIT_STATUS_LINE_CHARS_MAX: Final = 1_024
GIT_DIFF_BYTES_MAX: Final = 256 * MIB  # of all changed files together, for the digest
VERSION_BYTES_MAX: Final = 200  # of what a program says about itself
PROMPT_CHARS: Final = 24_000
PROMPT_CHARS_MAX: Final = 200_000
PROMPT_PAYLOAD_CHARS_MAX: Final = 4_000  # of indented JSON
PROMPT_GOAL_CHARS_MAX: Final = 2_000  # of the objective, and of the scope
PROMPT_HISTORY_CHARS_MAX: Final = 8_000  # what others wrote may not crowd out what the profile says
PROMPT_MEMORY_CHARS_MAX: Final = 4_000
PROMPT_ISSUES_CHARS_MAX: Final = 4_000
ISSUES_MAX: Final = 20  # of a verification, in one event
ECHO_PROMPT_CHARS_MAX: Final = 128 * KIB  # of the prompt, half from its beginning and half from its end

# files
PATH_BYTES_MAX: Final = 1_024
NAME_BYTES_MAX: Final = 255  # NAME_MAX of Linux
LOOK_BYTES_MAX: Final = 256 * MIB  # of one file that is digested
SNAPSHOT_BYTES_MAX: Final = 1_024 * MIB  # of all files of one snapshot
TREE_ENTRIES_MAX: Final = 20_000
TREE_DEPTH_MAX: Final = 64
ARTIFACT_LOOKS_MAX: Final = 2_000  # of runs; what only older ones saw is not listed
ARTIFACTS_LISTED_MAX: Final = 1_000
DISK_FREE_BYTES_MIN: Final = 256 * MIB
CLOCK_US_MIN: Final = 1_735_689_600_000_000  # 2025: a clock that says less was never set

# workflows
TEMPLATE_STATES_MAX: Final = 100  # of one template
PLACEHOLDERS_MAX: Final = 200  # of one state: what rendering it may cost
PLACEHOLDER_DEPTH_MAX: Final = 4  # alternatives within alternatives
SLUG_CHARS_MAX: Final = 80
INSTANCE_KEY_CHARS_MAX: Final = 500
BASE_CHARS_MAX: Final = 200  # a part of file names
SIGNAL_CHARS_MAX: Final = 200  # of a wrong signal that is repeated to whoever named it
LINES_NAMED_MAX: Final = 5  # of those that something was said about
IGNORED_KEYS_NAMED_MAX: Final = 50  # of the lines of one batch
SHOWN_VALUE_CHARS_MAX: Final = 100  # of a wrong value that is repeated to whoever wrote it
WORKFLOW_EPOCHS_MAX: Final = 1_000  # state entries before a person is asked, with or without a cap of the template
WORKFLOW_CONTEXT_BYTES_MAX: Final = 256 * KIB
WORKFLOW_WALL_S_MAX: Final = 366 * 86_400
WORKFLOW_REFUSALS_MAX: Final = 10  # in one put: each parks the instance, so that one is the rule

# an older runtime's database
IMPORTED_HISTORY_BYTES_MAX: Final = MIB  # of what is kept of a task's attempts and events; older ones are left out
IMPORT_GROUP_BYTES_MAX: Final = 8 * MIB  # of texts that share a transaction
IMPORT_IDS_AT_ONCE: Final = 500  # in one query
IMPORT_NOTES_MAX: Final = 100  # reasons that are told; further ones are counted

# what people are shown
WARNINGS_SHOWN_MAX: Final = 3  # of a configuration, by commands that are about something else
CAUSES_MAX: Final = 1_000  # links; a longer chain is cut at its beginning
REPORT_ROWS_MAX: Final = 100  # of the table below a picture
TIMELINE_TICKS_MAX: Final = 2_000  # of output, and of decisions
SNAPSHOT_LABEL_CHARS_MAX: Final = 100
SNAPSHOT_FILE_BYTES_MAX: Final = 64 * MIB  # a larger one is none of ours
REPLAY_INPUTS_SHOWN_MAX: Final = 8  # with them a difference is at most 20 lines
FORK_SHOWN_MAX: Final = 200
FORK_STEPS_MAX: Final = 100_000
REDECIDED_MAX: Final = 200

# retention
ERASED_RUNS_LISTED_MAX: Final = 1_000  # named in one event; further ones are counted
ERASE_RUNS_AT_ONCE: Final = 200  # in one transaction

# states of long runs
STATE_EVERY_EVENTS: Final = 1_024
STATE_BYTES_MAX: Final = MIB
STATES_OF_RUN_MAX: Final = 128
STATE_RUNS_MAX: Final = 200

# SQL
SQL_WALL_S_MAX: Final = 8
SQL_CPU_S_MAX: Final = 8
SQL_ROWS_MAX: Final = 10_000
SQL_BYTES_MAX: Final = 8 * MIB
SQL_COPY_S: Final = 0.25  # how old a copy may be that a server's queries share
SQL_TEXT_BYTES_MAX: Final = 256 * KIB
LIST_ROWS: Final = 50
LIST_ROWS_MAX: Final = 10_000

# controllers
TOOL_TIMEOUT_S: Final = 60.0
DECISIONS_MAX: Final = 200
DECISIONS_AT_ONCE_MAX: Final = 100  # that follow from one fact
DECISION_CALLS_MAX: Final = 16
TOKENS_TOLD_MAX: Final = 1_000_000_000  # of one answer
MODEL_LINE_BYTES_MAX: Final = MIB
ROUTER_ANSWER_BYTES_MAX: Final = 64 * KIB
UNRECORDED_CALL_S_MAX: Final = 60.0
TOOL_CALLS_MAX: Final = 50
CONTROLLER_ERRORS_MAX: Final = 5
STUCK_MAX: Final = 5
RECOVERIES_MAX: Final = 3
CONTROLLER_RETRIES: Final = 3  # within one step
CONTROLLER_RETRY_S: Final = 1.0
CONTROLLER_RETRY_S_MAX: Final = 30.0
CONTROLLER_DEADLINE_S: Final = 60.0
ANSWER_TOKENS_MAX: Final = 2_048
WINDOW_BYTES_MAX: Final = 16 * KIB
WINDOW_EVENTS_MAX: Final = 40
PIN_BYTES_MAX: Final = 2 * KIB
ANSWER_STORED_BYTES_MAX: Final = 256 * KIB
OBSERVATION_CHARS_MAX: Final = 8_000
SILENCE_S: Final = 30.0
WAIT_S_MAX: Final = 300.0
HISTORY_MESSAGES_MAX: Final = 200
HISTORY_BYTES_MAX: Final = 64 * KIB
TRIGGERS_MAX: Final = 32  # named in one event; further ones of a kind are counted
PHRASE_CHARS_MAX: Final = 200
GRANT_S_MAX: Final = 90 * 86_400.0
WORKSPACE_FILES_MAX: Final = 1_000
WORKSPACE_ENTRIES_MAX: Final = 20_000  # of every kind, folders too: a whole home is no workspace
MEMORIES_MAX: Final = 20  # given to one run
MEMORY_CHARS_MAX: Final = 4_000
RUN_DEPTH_MAX: Final = 4
FILE_BYTES_MAX: Final = 128 * KIB  # of one file that a task brings
FILES_MAX: Final = 20

# HTTP
HTTP_PORT: Final = 4314
HTTP_BODY_BYTES_MAX: Final = 64 * KIB
HTTP_INTAKE_BYTES_MAX: Final = MIB  # of what brings work in, and of hooks
HTTP_HEADER_BYTES_MAX: Final = 16 * KIB  # request line and headers together
HTTP_URL_BYTES_MAX: Final = 4 * KIB
HTTP_REQUEST_S: Final = 15.0  # until headers and body are there
HTTP_IDLE_S: Final = 60  # of a connection between two requests
HTTP_CONNECTIONS_MAX: Final = 1_024
HTTP_PAGE_ITEMS: Final = 50
HTTP_PAGE_ITEMS_MAX: Final = 500
HTTP_PAGE_BYTES_MAX: Final = MIB  # of output in one answer
HTTP_WAIT_S_MAX: Final = 5.0  # for a position that is not there yet
HTTP_WORKERS: Final = 8  # threads that read and write for requests
HTTP_HEAVY_AT_ONCE: Final = 2  # SQL, replays, forks and reports; what comes on top waits
HTTP_HEAVY_S: Final = 30.0
HTTP_WRITES_PER_S: Final = 2_000  # of one token
HTTP_LOGIN_FAILURES_PER_MINUTE: Final = 20  # of one address
HTTP_KEYS_MAX: Final = 10_000  # answers that are remembered by their Idempotency-Key
HTTP_ARTIFACT_BYTES_MAX: Final = 256 * MIB
HTTP_LOOKED_AT_EVENTS_MAX: Final = 100_000  # behind a filter in one answer
HTTP_FIELDS_NAMED_MAX: Final = 50
HTTP_ADDRESSES_MAX: Final = 10_000  # whose failures are counted
SKILLS_SHOWN_MAX: Final = 50
OLD_STREAM_EVENTS_MAX: Final = 50  # in one message
OLD_STREAM_DETAIL_CHARS_MAX: Final = 500
SSE_CLIENTS_MAX: Final = 256
SSE_BUFFER_BYTES_MAX: Final = MIB  # of one client that reads slower than the log grows
SSE_KEEP_ALIVE_S: Final = 15.0
SSE_STALLED_S: Final = 30.0  # a client that takes nothing for so long is dropped
SSE_BEAT_S: Final = 0.05  # what comes within it goes out together
SESSION_CODE_S: Final = 60
SESSION_S: Final = 12 * 3_600
SESSIONS_MAX: Final = 1_000
SESSION_CODES_MAX: Final = 100  # that nobody used yet
TOKENS_MAX: Final = 100
