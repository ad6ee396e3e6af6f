"""The Django project and the chat: conversations, runs, the agent, its tools, images, reports."""

from assistant.celery import app as celery_app

__all__ = ["celery_app"]
