// SPDX-License-Identifier: MIT

// Publisher confirms: publishes messages and ends when the broker has confirmed all of them.
//
//   confirms [--url URL] [--queue NAME] [--count N]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Publisher>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QTextStream>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Publishes messages and waits for their confirms."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption(
        {u"queue"_s, u"The queue, which must exist unless --declare is given."_s, u"name"_s, u"confirmed"_s});
    options.addOption({u"declare"_s, u"Declares the queue as durable."_s});
    options.addOption({u"count"_s, u"The number of messages."_s, u"N"_s, u"1000"_s});
    options.process(application);
    const QString queue = options.value(u"queue"_s);
    const int count = qMax(1, options.value(u"count"_s).toInt());
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Publisher publisher(&connection);
    publisher.setRoutingKey(queue);  // of the default exchange, which returns the message if the queue does not exist
    publisher.setConfirmWindow(100); // unconfirmed messages at a time

    int confirmed = 0;
    int failed = 0;
    // Every message that publish() accepted ends here exactly once.
    QObject::connect(&publisher, &AmqpQt::Publisher::settled, &application,
                     [&](quint64 id, const AmqpQt::Error &error) {
                         if (error.isError())
                             QTextStream(stderr) << "message " << id << ": " << error.toString() << Qt::endl;
                         ++(error.isError() ? failed : confirmed);
                     });
    QObject::connect(&publisher, &AmqpQt::Publisher::drained, &application, [&] {
        out << confirmed << " confirmed, " << failed << " failed" << Qt::endl;
        connection.close();
    });

    const auto publishAll = [&] {
        for (int i = 0; i < count; ++i) {
            if (publisher.publish(AmqpQt::Message::fromText(QString::number(i))) == 0)
                ++failed; // rejected because the outbox is full, see publisher.error()
        }
    };
    if (options.isSet(u"declare"_s)) {
        // The broker does not keep order between channels, so the messages wait for the answer.
        connection.createChannel()->declareQueue(queue).then(&application,
                                                             [&](const AmqpQt::Result<AmqpQt::QueueInfo> &declared) {
                                                                 if (declared)
                                                                     publishAll();
                                                                 else
                                                                     connection.close();
                                                             });
    } else {
        publishAll(); // messages wait in the outbox until the connection is open
    }

    AmqpQt::Error failure; // why the connection could not be opened
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        QCoreApplication::exit(why.isError() || failed > 0 || confirmed == 0 ? 1 : 0);
    });
    // A broker that cannot be reached at the start ends the program. After a later loss the connection recovers.
    connection.open().then(&connection, [&](const AmqpQt::Result<void> &opened) {
        if (opened || connection.state() != AmqpQt::Connection::State::Recovering)
            return;
        failure = opened.error();
        connection.close();
    });
    return application.exec();
}
