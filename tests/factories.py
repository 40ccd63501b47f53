"""Factories make the smallest valid row; scenes have names and stand beside the tests that use them."""

from typing import Any

import factory
from django.utils import timezone

from accounts.models import Account, Membership, Person, User
from events.models import IngestKey


class AccountFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Account

    external_id = factory.Sequence(lambda n: f"account-{n}")


class PersonFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Person

    external_id = factory.Sequence(lambda n: f"person-{n}")
    email = factory.LazyAttribute(lambda person: f"{person.external_id}@customer.example")


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    account = factory.SubFactory(AccountFactory)
    person = factory.SubFactory(PersonFactory)
    role = "admin"
    joined_at = factory.LazyFunction(timezone.now)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"staff-{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@company.example")
    is_staff = True


class IngestKeyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = IngestKey

    name = factory.Sequence(lambda n: f"key {n}")
    key_hash = factory.Sequence(lambda n: f"{n:064x}")
    hint = "0000"


def created(model: type, **values: Any) -> Any:
    """A row of a model that has no factory of its own."""
    return model.objects.create(**values)
