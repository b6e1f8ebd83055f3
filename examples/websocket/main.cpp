// SPDX-License-Identifier: MIT

// Connects through a WebSocket, and sends a message to itself.
//
//   websocket [--relay URL] [--url URL] [--subprotocol NAME] [--authorities FILE] [--timeout SECONDS]
//
// The relay accepts WebSockets and passes their bytes on to the broker's TCP port, as "websockify 15680 localhost:5672"
// does.

#include "websocketdevice.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QSslCertificate>
#include <QSslConfiguration>
#include <QTextStream>
#include <QTimer>
#include <QWebSocketHandshakeOptions>

using namespace Qt::StringLiterals;

namespace
{

void addOptions(QCommandLineParser &options)
{
    options.setApplicationDescription(u"Connects through a WebSocket, and sends a message to itself."_s);
    options.addHelpOption();
    options.addOption({u"relay"_s, u"The relay, ws:// or wss://."_s, u"URL"_s, u"ws://localhost:15680"_s});
    options.addOption({u"url"_s, u"The login and the virtual host; the relay knows the host."_s, u"URL"_s,
                       u"amqp://guest:guest@localhost/%2F"_s});
    options.addOption({u"subprotocol"_s, u"The subprotocol, if the relay needs one."_s, u"name"_s});
    options.addOption(
        {u"authorities"_s, u"Trusts only the authorities in this PEM file, not the system's."_s, u"file"_s});
    options.addOption({u"timeout"_s, u"How long the relay may take to answer."_s, u"seconds"_s, u"15"_s});
}

int fail(const QString &text)
{
    QTextStream(stderr) << text << Qt::endl;
    return 1;
}

// Returns false if the file has no certificate.
bool trustOnly(const QString &file, QWebSocket *socket)
{
    QSslConfiguration configuration = socket->sslConfiguration();
    configuration.setCaCertificates(QSslCertificate::fromPath(file));
    socket->setSslConfiguration(configuration);
    return !configuration.caCertificates().isEmpty();
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    addOptions(options);
    options.process(application);
    const auto parameters = AmqpQt::ConnectionParameters::fromUrl(QUrl(options.value(u"url"_s)));
    if (!parameters)
        return fail(parameters.error().toString());
    AmqpQt::Connection connection(*parameters);

    const QUrl relay(options.value(u"relay"_s));
    if (!relay.isValid())
        return fail(u"the URL of the relay is invalid"_s);
    const QString relayName = relay.toString(QUrl::RemoveUserInfo | QUrl::RemoveQuery); // without a token
    auto *socket = new QWebSocket(QString(), QWebSocketProtocol::VersionLatest, &application);
    if (options.isSet(u"authorities"_s) && !trustOnly(options.value(u"authorities"_s), socket))
        return fail(u"there is no certificate in %1"_s.arg(options.value(u"authorities"_s)));
    QWebSocketHandshakeOptions handshake;
    if (options.isSet(u"subprotocol"_s))
        handshake.setSubprotocols({options.value(u"subprotocol"_s)});

    // Until it is connected, the program handles the errors of the WebSocket, and afterwards the device.
    QTimer timeout;
    timeout.setSingleShot(true);
    const auto giveUp = [&](const QString &reason) {
        timeout.stop();
        socket->disconnect(&application);
        socket->abort();
        fail(u"cannot connect to the relay %1: %2"_s.arg(relayName, reason));
        QCoreApplication::exit(1);
    };
    QObject::connect(socket, WebSocketFailed, &application, [&] { giveUp(socket->errorString()); });
    QObject::connect(&timeout, &QTimer::timeout, &application, [&] { giveUp(u"it does not answer"_s); });
    QObject::connect(socket, &QWebSocket::connected, &application, [&] {
        timeout.stop();
        socket->disconnect(&application);
        auto device = std::make_unique<WebSocketDevice>(socket);
        device->setObjectName(relayName); // for the text of errors
        connection.openOn(std::move(device));
    });
    QTimer::singleShot(0, socket, [&] { // in the event loop, since it may fail at once
        timeout.start(options.value(u"timeout"_s).toInt() * 1000);
        socket->open(relay, handshake);
    });

    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareTemporaryQueue().then(&application, [channel](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        if (queue)
            channel->publish({}, queue->name, AmqpQt::Message::fromText(u"Hello, rabbit behind a WebSocket"));
    });
    AmqpQt::Consumer *consumer = channel->consume({}, {.ackMode = AmqpQt::AckMode::NoAck}); // the queue declared last
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &connection, [&](const AmqpQt::Message &message) {
        QTextStream(stdout) << "received through " << relayName << ": " << message.text() << Qt::endl;
        connection.close();
    });

    AmqpQt::Error failure; // why the broker closed the channel
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        failure = reason;
        connection.close();
    });
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            fail(why.toString());
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    return application.exec();
}
