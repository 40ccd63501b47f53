"""All settings, and the only reader of the environment.

`LIFECYCLE_ENV` says which world this is: `production` (the default, which refuses to start
half-configured), `development` (the demo and a developer's machine) or `test`.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from lifecycle import environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = environment.Reader()
env.read_env(BASE_DIR / ".env")

LIFECYCLE_ENV = environment.one_of(
    "LIFECYCLE_ENV",
    env.str("LIFECYCLE_ENV", "production"),
    ("production", "development", "test"),
)
PRODUCTION = LIFECYCLE_ENV == "production"


def required(name: str, why: str, otherwise: str) -> str:
    """The variable's value; outside production `otherwise`. Raises ImproperlyConfigured with what to set."""
    value = str(env.str(name, ""))
    if value:
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment or in .env: {why}. "
            "For a machine of your own, set LIFECYCLE_ENV=development instead."
        )
    return otherwise


DEBUG = env.bool("DEBUG", False)
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured(
        "DEBUG is for a developer's machine: whoever causes an error would be shown settings and code. "
        "Remove it from the environment, or set LIFECYCLE_ENV=development."
    )
SECRET_KEY = required(
    "SECRET_KEY",
    f"a long random text, such as `{environment.PRINTS_RANDOM_TEXT}` prints",
    "only-for-development-and-tests-" + "x" * 40,
)
if PRODUCTION:
    environment.hard_to_guess(SECRET_KEY)
ALLOWED_HOSTS = required(
    "ALLOWED_HOSTS",
    "the host names that this installation answers to, separated by commas",
    "localhost,127.0.0.1,[::1],testserver",
).split(",")
SITE_URL = environment.web_address(
    "SITE_URL",
    required(
        "SITE_URL",
        "the address under which people and mail providers reach it, such as https://lifecycle.example.com",
        "http://localhost:8000",
    ),
)
CSRF_TRUSTED_ORIGINS = [SITE_URL]

# Unfold replaces templates of the admin and of import-export, so it comes before them.
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_q",
    "anymail",
    "import_export",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "events",
    "messaging",
    "lifecycle.journeys",
    "lifecycle.runner",
    "lifecycle.alerts",
    "lifecycle.pages",
]
MIDDLEWARE = [
    "events.api.door.EndpointDoor",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "lifecycle.pages.storable.Storable",
]
ROOT_URLCONF = "lifecycle.urls"
WSGI_APPLICATION = "lifecycle.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "lifecycle.pages.work.banner",
            ]
        },
    }
]

# --- database -------------------------------------------------------------------------------
(BASE_DIR / "var").mkdir(exist_ok=True)
DATABASES = {
    # Set to nothing it means the same as not set.
    "default": environment.database(
        "DATABASE_URL",
        env.str("DATABASE_URL", "") or f"sqlite:///{BASE_DIR / 'var' / 'lifecycle.sqlite3'}",
    )
}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers go on while one writes; IMMEDIATE takes the write lock at BEGIN, so that two
    # writers wait for each other instead of failing half-way; FULL makes an answered 200 durable.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    # A new connection costs about ten requests.
    _database["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", 300)
    _database["CONN_HEALTH_CHECKS"] = True
    # The endpoint answers within ten seconds whatever happens: what waits longer gets a 503 and a retry.
    _database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    _database["OPTIONS"].setdefault("options", "-c lock_timeout=8s")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people who work here -------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("home")

# --- the look, shared by the admin and our own pages -----------------------------------------
UNFOLD = {
    "SITE_TITLE": "Integration setup",
    "SITE_HEADER": "Integration setup",
    "SITE_SYMBOL": "electrical_services",
    # The application has one front page, the role's own list; no "view site" beside it.
    "SITE_URL": None,
    "ENVIRONMENT": "lifecycle.pages.navigation.environment_badge",
    "STYLES": ["lifecycle.pages.navigation.stylesheet"],
    "SCRIPTS": ["lifecycle.pages.navigation.script"],
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": "lifecycle.pages.navigation.icon",
        }
    ],
    "BORDER_RADIUS": "8px",
    "COLORS": {
        # Teal, from Tailwind's palette: calm, and apart from the amber and red of warnings.
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(70.4% .14 182.503)",
            "600": "oklch(51.1% .096 186.391)",
            "700": "oklch(43.7% .078 188.216)",
            "800": "oklch(38.6% .063 188.416)",
            "900": "oklch(33.6% .05 188.6)",
            "950": "oklch(27.7% .046 192.524)",
        }
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "lifecycle.pages.navigation.sidebar",
    },
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
# Dates with the month as a word and a 24-hour clock: read the same on both sides of the Atlantic.
FORMAT_MODULE_PATH = "lifecycle.formats"

# --- files, headers, cookies ----------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
# Every test's client is a server of its own, which would list all files at its start.
WHITENOISE_AUTOREFRESH = LIFECYCLE_ENV == "test"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", PRODUCTION)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 31_536_000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
# What we do show in a frame of our own says so in its policy (frame-ancestors), which outranks this.
X_FRAME_OPTIONS = "DENY"
if env.bool("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Unfold's pages run Alpine, which evaluates expressions and sets inline styles; no other host is allowed.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'", "data:"],
        "frame-src": ["'self'"],
        "frame-ancestors": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
    }
}

# --- the event endpoint ---------------------------------------------------------------------
# Wire and unpacked sizes in bytes: SDKs batch up to about 500 KB, imports more; gzip reaches 45:1.
EVENTS_MAX_BODY_BYTES = env.int("EVENTS_MAX_BODY_BYTES", 10 * 1024 * 1024)
EVENTS_MAX_UNPACKED_BYTES = env.int("EVENTS_MAX_UNPACKED_BYTES", 50 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = EVENTS_MAX_BODY_BYTES
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Event endpoint",
    "DESCRIPTION": "Segment-compatible endpoint for product events.",
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
}

# --- tables in the admin --------------------------------------------------------------------
# Rows of one file that is imported: on SQLite everybody else waits while they are written.
IMPORT_MAX_ROWS = env.int("IMPORT_MAX_ROWS", 10_000)

# --- e-mail ---------------------------------------------------------------------------------
# Each provider's backend and the Anymail settings it needs, all read from the environment by these names.
EMAIL_PROVIDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "smtp": ("django.core.mail.backends.smtp.EmailBackend", ()),
    "postmark": ("anymail.backends.postmark.EmailBackend", ("POSTMARK_SERVER_TOKEN",)),
    "mailgun": (
        "anymail.backends.mailgun.EmailBackend",
        ("MAILGUN_API_KEY", "MAILGUN_SENDER_DOMAIN", "MAILGUN_WEBHOOK_SIGNING_KEY"),
    ),
    "amazon_ses": ("anymail.backends.amazon_ses.EmailBackend", ()),
    "sendgrid": ("anymail.backends.sendgrid.EmailBackend", ("SENDGRID_API_KEY",)),
    "resend": ("anymail.backends.resend.EmailBackend", ("RESEND_API_KEY",)),
}
EMAIL_PROVIDER = environment.one_of(
    "EMAIL_PROVIDER", env.str("EMAIL_PROVIDER", "smtp"), EMAIL_PROVIDERS
)
EMAIL_BACKEND, _provider_settings = EMAIL_PROVIDERS[EMAIL_PROVIDER]
ANYMAIL: dict[str, Any] = {
    name: required(name, f"EMAIL_PROVIDER={EMAIL_PROVIDER} needs it", "unset")
    for name in _provider_settings
}
for _name in ("POSTMARK_API_URL", "MAILGUN_API_URL", "SENDGRID_API_URL", "RESEND_API_URL"):
    if env.str(_name, ""):
        ANYMAIL[_name] = env.str(_name)
ANYMAIL["WEBHOOK_SECRET"] = required(
    "ANYMAIL_WEBHOOK_SECRET",
    "user:password that the provider's webhooks must present",
    "development:only",
)
environment.user_and_secret("ANYMAIL_WEBHOOK_SECRET", ANYMAIL["WEBHOOK_SECRET"])
ANYMAIL["REQUESTS_TIMEOUT"] = (5, 15)
EMAIL_HOST = env.str("EMAIL_HOST", "localhost")
EMAIL_PORT = env.int("EMAIL_PORT", 1025 if not PRODUCTION else 587)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", PRODUCTION)
# For all of a connection's opening, and for all of one mail: with what comes before, a task still ends in time.
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "setup@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Staging: every mail goes to this address instead, or only to these addresses and @domains.
EMAIL_REDIRECT_ALL_TO = environment.mailbox(
    "EMAIL_REDIRECT_ALL_TO", env.str("EMAIL_REDIRECT_ALL_TO", "")
)
EMAIL_ALLOW_LIST = environment.mailboxes_and_domains(
    "EMAIL_ALLOW_LIST", env.list("EMAIL_ALLOW_LIST", default=[])
)
# Replies come back to signed addresses in this domain, whose mail the provider must hand to
# /anymail/<provider>/inbound/. Empty: they go to the sender's own reply address, unseen by us.
REPLY_DOMAIN = env.str("REPLY_DOMAIN", "")
# What mails call the product.
PRODUCT_NAME = env.str("PRODUCT_NAME", "our product")
# May we write to admins who did not start the setup: yes, same_domain or never.
ADMIN_OUTREACH = environment.one_of(
    "ADMIN_OUTREACH",
    env.str("ADMIN_OUTREACH", "same_domain"),
    ("yes", "same_domain", "never"),
)
# How long a claimed message may take before its outcome counts as unknown.
MESSAGE_LEASE = timedelta(seconds=120)
# Development only: where the local mail catcher keeps what arrived, for the mailbox page.
MAILBOX_DIR = (
    None if PRODUCTION else Path(env.str("MAILBOX_DIR", str(BASE_DIR / "var" / "mailbox")))
)

# --- the links in mails ---------------------------------------------------------------------
# Off: for an installation that may not reach the web itself; no link is probed then, and none is held.
PROBE_LINKS = env.bool("PROBE_LINKS", True)
# For tests against servers on this machine.
PROBE_ALLOW_LOOPBACK = env.bool("PROBE_ALLOW_LOOPBACK", False)
if PRODUCTION and PROBE_ALLOW_LOOPBACK:
    raise ImproperlyConfigured(
        "PROBE_ALLOW_LOOPBACK is for tests: it would let a link in an e-mail reach this machine's own "
        "services. Remove it from the environment."
    )

# --- background work ------------------------------------------------------------------------
WORKERS = environment.at_least_one("WORKERS", env.int("WORKERS", 2))
# Threads of one worker that hand mail over at the same time where the provider is slow, each with a
# database connection while it works. SQLite has one writer at a time.
SENDERS = environment.at_least_one("SENDERS", env.int("SENDERS", 16))
if "postgresql" not in _database["ENGINE"]:
    SENDERS = 1
TASK_TIMEOUT_SECONDS = 60
Q_CLUSTER = {
    "name": "lifecycle",
    "orm": "default",
    "workers": WORKERS,
    "timeout": TASK_TIMEOUT_SECONDS,
    # `retry` runs from prefetch, so it must outlast everything queued in front of a worker.
    "queue_limit": WORKERS,
    "retry": (WORKERS + 2) * TASK_TIMEOUT_SECONDS,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": -1,
    "bulk": 10,
    "poll": 0.1,
    "catch_up": False,
    "label": "Queue",
}
# How long a worker relies on what it read of journeys, catalogue, roles and templates. Pauses are never kept.
DEFINITION_KEPT_SECONDS = 0.0 if LIFECYCLE_ENV == "test" else 1.0
# An incident: so many accounts fail alike within an hour, and so many times as often as usual.
INCIDENT_ACCOUNTS = env.int("INCIDENT_ACCOUNTS", 5)
INCIDENT_TIMES_USUAL = env.float("INCIDENT_TIMES_USUAL", 4)
HANDOFF_WEBHOOK_URL = env.str("HANDOFF_WEBHOOK_URL", "")
HANDOFF_WEBHOOK_SECRET = env.str("HANDOFF_WEBHOOK_SECRET", "")
if HANDOFF_WEBHOOK_URL and not HANDOFF_WEBHOOK_SECRET.startswith("whsec_"):
    raise ImproperlyConfigured(
        "HANDOFF_WEBHOOK_URL is set, but HANDOFF_WEBHOOK_SECRET is not: set it to whsec_ and 24 random bytes "
        "in base64, as `echo whsec_$(openssl rand -base64 24)` prints, and give it to the receiver too."
    )

LOG_LEVEL = environment.one_of(
    "LOG_LEVEL",
    env.str("LOG_LEVEL", "WARNING").upper(),
    ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
