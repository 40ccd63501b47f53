from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="sendingdomain",
            name="dkim_selectors",
            field=models.CharField(
                blank=True,
                help_text="As your mail provider names them, separated by commas: s1, s2",
                max_length=200,
                verbose_name="DKIM selectors",
            ),
        ),
        migrations.AddField(
            model_name="sendingdomain",
            name="resumed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
