// SPDX-License-Identifier: MIT
#include "chaos/scenarios.h"

#include <QtCore/qurl.h>

#include <cstdio>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

ConnectionParameters chaosParameters(bool isEncrypted)
{
    const QUrl url(qEnvironmentVariable(isEncrypted ? "AMQPQT_TEST_TLS_URL" : "AMQPQT_TEST_URL"));
    const Result<ConnectionParameters> read = ConnectionParameters::fromUrl(url);
    if (!read)
        qFatal("%s; tools/chaos runs this program", qPrintable(read.error().toString()));
    ConnectionParameters parameters = *read;
    if (isEncrypted)
        parameters.trustOnly(qEnvironmentVariable("AMQPQT_TEST_CERTIFICATES") + "/ca.pem"_L1);
    parameters.setHeartbeatInterval(10s);
    parameters.setConnectTimeout(5s);
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 1s));
    return parameters;
}

void progress(const QString &text)
{
    std::fprintf(stderr, "%s\n", qPrintable(text));
}
