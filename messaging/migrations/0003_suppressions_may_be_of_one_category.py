from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0002_domain_health"),
    ]

    operations = [
        migrations.AddField(
            model_name="suppression",
            name="category",
            field=models.CharField(
                blank=True,
                choices=[("setup_help", "Setup help"), ("product_news", "Product news")],
                default="",
                help_text="Empty: every kind of mail",
                max_length=20,
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint(model_name="suppression", name="suppression_standing_once"),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(
                condition=models.Q(("lifted_at__isnull", True)),
                fields=("address", "reason", "category"),
                name="suppression_standing_once",
            ),
        ),
    ]
