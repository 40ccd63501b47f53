import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0003_suppressions_may_be_of_one_category"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reply",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=40)),
                ("fingerprint", models.CharField(max_length=64, unique=True)),
                ("from_email", models.CharField(blank=True, max_length=254)),
                ("from_name", models.CharField(blank=True, max_length=120)),
                ("subject", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField(blank=True)),
                (
                    "automatic",
                    models.CharField(
                        blank=True, help_text="What shows that a machine wrote it", max_length=30
                    ),
                ),
                ("original", models.BinaryField(default=b"")),
                ("received_at", models.DateTimeField()),
                ("taken_up_at", models.DateTimeField(editable=False, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("ignored", "Written by a machine"),
                            ("waiting", "To be forwarded"),
                            ("forwarding", "Being forwarded"),
                            ("forwarded", "Forwarded"),
                            ("uncertain", "Perhaps forwarded"),
                            ("refused", "Not forwarded"),
                        ],
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("forwarded_at", models.DateTimeField(null=True)),
                (
                    "detail",
                    models.TextField(blank=True, help_text="Why it was not forwarded"),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replies",
                        to="messaging.message",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "replies",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "waiting")),
                        fields=["next_attempt_at"],
                        name="reply_due",
                    ),
                    models.Index(
                        condition=models.Q(("automatic", ""), ("taken_up_at__isnull", True)),
                        fields=["id"],
                        name="reply_not_taken_up",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "forwarding"), _negated=True),
                            ("lease_until__isnull", False),
                            _connector="OR",
                        ),
                        name="reply_forwarding_has_lease",
                    )
                ],
            },
        ),
    ]
