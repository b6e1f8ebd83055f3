// SPDX-License-Identifier: MIT
#pragma once

#include "base/secret_p.h"

#include <AmqpQt/reply.h>

#include <QtCore/qstringlist.h>
#include <QtNetwork/qsslconfiguration.h>

#include <optional>

namespace AmqpQt
{

// How a transport authenticates the broker, and itself to the broker. The files are read for each attempt to connect.
struct TlsOptions {
    std::optional<QSslConfiguration> configuration; // std::nullopt means the default of the process, with verification
    bool trustsSystem = true;                       // false: only the authorities in authorityFiles
    QStringList authorityFiles;                     // PEM
    QString certificateFile;                        // of this client; PEM or PKCS#12
    bool isPkcs12 = false;
    QString keyFile;   // PEM; empty means that certificateFile contains the key as well
    Secret passphrase; // of the key or the PKCS#12 file
};

// Returns the configuration for an attempt, with what the files have now. An error names the file and the remedy.
Result<QSslConfiguration> tlsConfiguration(const TlsOptions &options);

} // namespace AmqpQt
