// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qstring.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslkey.h>

// The certificates that tools/certificates creates; its --help lists their names. They are those of the broker under
// test if there is one, or else a set that is created once per process and removed when it ends.

QString certificatesDirectory();
QString certificateFile(const QString &fileName); // "server.pem", "client.key"

// The following functions read NAME.pem and NAME.key, as in readCertificate("server").
QSslCertificate readCertificate(const QString &name);
QList<QSslCertificate> readCertificateChain(const QString &name); // with the intermediate certificate if there is one
QSslKey readCertificateKey(const QString &name);

QByteArray certificatePassphrase(); // of client-encrypted.key, client-traditional.key, client.p12 and client-legacy.p12
