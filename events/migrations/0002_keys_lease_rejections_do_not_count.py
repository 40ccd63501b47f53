from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RenameField(model_name="ingestkey", old_name="tokens", new_name="leased"),
        migrations.RenameField(model_name="ingestkey", old_name="tokens_at", new_name="leased_at"),
        migrations.RemoveField(model_name="rejectedevent", name="times"),
    ]
