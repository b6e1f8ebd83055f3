// SPDX-License-Identifier: MIT
#include <AmqpQt/AmqpQt>
#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/ConnectionParameters>
#include <AmqpQt/Consumer>
#include <AmqpQt/LatestValueModel>
#include <AmqpQt/Message>
#include <AmqpQt/MessageModel>
#include <AmqpQt/RateHistory>
#include <AmqpQt/version.h>

#include <QtCore/QCoreApplication>
#include <QtCore/QMetaEnum>
#include <QtCore/QTimer>

#include <cstdio>

static_assert(AMQPQT_VERSION >= AMQPQT_VERSION_CHECK(0, 1, 0), "the version is readable by the preprocessor");

// Uses each exported class: values, QObjects, templates and meta-objects. If a symbol is not exported, linking fails.
class Application : public QObject
{
    Q_OBJECT
public:
    void start()
    {
        const auto parameters = AmqpQt::ConnectionParameters::fromUrl(QUrl(QStringLiteral("amqp://u:p@localhost/%2F")));
        if (!parameters)
            return finish(2);
        m_connection.setParameters(*parameters);
        auto *channel = m_connection.createChannel();
        channel->declareQueue(QStringLiteral("orders"), AmqpQt::QueueOptions::quorum())
            .then(this, [this](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
                finish(queue.error().kind() == AmqpQt::ErrorKind::Cancelled ? check() : 1);
            });
        delete channel; // ends the call that waits for the connection
    }

private:
    static int check()
    {
        AmqpQt::Message message = AmqpQt::Message::fromText(u"text");
        message.setHeader(QStringLiteral("price"), QVariant::fromValue(AmqpQt::Decimal{2, 1999}));
        if (message.text() != QLatin1String("text"))
            return 3;
        if (AmqpQt::validate(message.headers()).isError())
            return 4;
        const AmqpQt::Error error(AmqpQt::ErrorKind::ChannelClosed, QStringLiteral("NOT_FOUND"), 404);
        if (error.toString() != QLatin1String("NOT_FOUND (404, ChannelClosed)"))
            return 5;
        if (QMetaEnum::fromType<AmqpQt::Channel::State>().keyToValue("Open") < 0)
            return 6;
        if (AmqpQt::Connection::staticMetaObject.indexOfSignal("opened()") < 0)
            return 7;
        if (AmqpQt::MessageModel::value(message, QStringLiteral("text")) != QLatin1String("text"))
            return 8;
        if (AmqpQt::LatestValueModel().keyColumn() != QLatin1String("routingKey"))
            return 9;
        if (!AmqpQt::RateHistory().values().isEmpty())
            return 10;
        return 0;
    }

    void finish(int exitCode)
    {
        std::printf("AmqpQt %s, Qt %s: %d\n", AMQPQT_VERSION_STRING, qVersion(), exitCode);
        QCoreApplication::exit(exitCode);
    }

    AmqpQt::Connection m_connection;
};

int main(int argc, char *argv[])
{
    QCoreApplication coreApplication(argc, argv);
    Application application;
    QTimer::singleShot(0, &application, &Application::start);
    return coreApplication.exec();
}

#include "main.moc"
