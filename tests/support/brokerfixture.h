// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qprocess.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qurl.h>

#include <memory>

// Shared by the tests against a real RabbitMQ. Functions that wait run the event loop, so that the connections under
// test stay alive.

// The broker to test against: AMQPQT_TEST_URL, or else a private node that is started for this executable and ends with
// it. Without a broker the running test fails and the URL is empty.
QUrl brokerUrl();
// The URL of the same broker over TLS, AMQPQT_TEST_TLS_URL. certificates.h has the certificates.
QUrl brokerTlsUrl();

struct ProcessResult {
    int exitCode = -1; // -1 if it did not start, crashed or took longer than two minutes
    QByteArray output;
    QByteArray errors; // standard error
};

// Runs rabbitmqctl on that broker: brokerControl({"list_queues", "name", "messages"}). For a broker given by
// AMQPQT_TEST_URL alone, AMQPQT_BROKER_CTL is the command to use.
ProcessResult brokerControl(const QStringList &arguments);

// Runs Python source with the pika client library available. The environment has AMQPQT_TEST_URL, AMQPQT_TEST_TLS_URL
// and AMQPQT_TEST_CERTIFICATES; `arguments` are sys.argv[1:].
ProcessResult runPika(const QString &source, const QStringList &arguments = {}, const QByteArray &input = {});
// Does the same in parallel with the test; the process is killed with the object.
std::unique_ptr<QProcess> startPika(const QString &source, const QStringList &arguments = {});

// A name that no other test and no other run uses: "prefix.<test function>.<random>".
QString uniqueName(const QString &prefix);
