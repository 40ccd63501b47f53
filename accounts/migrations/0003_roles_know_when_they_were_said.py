from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_traits_know_their_time")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="role_said_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
