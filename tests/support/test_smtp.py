import smtplib
from email.message import EmailMessage

import pytest

from tests.support.smtp import SmtpServer


def send(server: SmtpServer, subject: str = "Hello", to: str = "ada@example.com") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "jobs@example.com", to, subject
    message.set_content("1 input was rated.")
    with smtplib.SMTP(server.host, server.port, timeout=10) as client:
        client.send_message(message)


def test_an_accepted_mail_can_be_read_with_its_envelope(smtp_server: SmtpServer) -> None:
    send(smtp_server)
    [mail] = smtp_server.wait_for(1)
    assert (mail.sender, mail.recipients) == ("jobs@example.com", ("ada@example.com",))
    assert mail.message["Subject"] == "Hello"
    assert mail.message.get_content() == "1 input was rated.\r\n"


def test_a_server_that_is_down_refuses_connections_and_comes_back_on_its_port(
    smtp_server: SmtpServer,
) -> None:
    port = smtp_server.port
    smtp_server.stop()
    with pytest.raises(ConnectionRefusedError):
        send(smtp_server)
    smtp_server.start()
    send(smtp_server)
    assert (smtp_server.port, len(smtp_server.messages)) == (port, 1)


def test_a_refusal_reaches_the_client_with_its_code(smtp_server: SmtpServer) -> None:
    smtp_server.refuse("451 4.3.0 Try again later")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(smtp_server)
    assert caught.value.recipients["ada@example.com"] == (451, b"4.3.0 Try again later")
    assert smtp_server.messages == []


def test_it_hangs_up_when_greeted(smtp_server: SmtpServer) -> None:
    smtp_server.hang_up()
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(smtp_server)
    assert smtp_server.messages == []


def test_it_hangs_up_after_it_took_the_mail(smtp_server: SmtpServer) -> None:
    smtp_server.hang_up(after_data=True)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(smtp_server)
    assert len(smtp_server.messages) == 1


def test_it_accepts_mail_again_after_a_fault(smtp_server: SmtpServer) -> None:
    smtp_server.hang_up()
    smtp_server.behave()
    send(smtp_server)
    assert len(smtp_server.messages) == 1


def test_waiting_for_mail_that_does_not_come_ends_in_an_error(smtp_server: SmtpServer) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 mails arrived"):
        smtp_server.wait_for(1, timeout_seconds=0.01)
