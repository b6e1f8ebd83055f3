// SPDX-License-Identifier: MIT

// Runs the connection in its own thread and handles messages in the main thread, as a user interface does. Even a main
// thread that is busy for minutes misses no heartbeat. A lost connection recovers; the broker then delivers again what
// was not acknowledged.
//
//   worker [--url URL] [--queue NAME]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/Recovery>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QTextStream>
#include <QThread>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Receives in a worker thread and prints in the main thread."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker."_s, u"URL"_s, u"amqp://guest:guest@localhost/%2F"_s});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"hello"_s});
    options.process(application);
    QTextStream out(stdout);

    // The connection is created here, moved with all its channels and consumers, and opened in its thread.
    auto *connection = new AmqpQt::Connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection->createChannel();
    channel->setPrefetch(1000);
    channel->declareQueue(options.value(u"queue"_s));
    AmqpQt::Consumer *consumer = channel->consume(options.value(u"queue"_s));

    // A single queued signal carries all messages of a turn of the worker's event loop.
    QObject::connect(consumer, &AmqpQt::Consumer::batchDelivered, &application,
                     [&](const QList<AmqpQt::Message> &messages) {
                         for (const AmqpQt::Message &message : messages)
                             out << message.text() << '\n';
                         out.flush();
                         for (const AmqpQt::Message &message : messages)
                             message.ack(); // in any thread, and harmless if the connection was lost meanwhile
                     });
    QObject::connect(connection, &AmqpQt::Connection::reconnecting, &application,
                     [](int attempt, std::chrono::milliseconds delay) {
                         QTextStream(stderr) << "attempt " << attempt << " to connect follows in " << delay.count()
                                             << " ms" << Qt::endl;
                     });
    QObject::connect(connection, &AmqpQt::Connection::recovered, &application,
                     [](const AmqpQt::RecoveryReport &report) {
                         QTextStream(stderr) << "connected again" << Qt::endl;
                         for (const QString &failure : report.failures())
                             QTextStream(stderr) << "not recovered: " << failure << Qt::endl;
                     });
    AmqpQt::Error failure; // why the broker closed the channel
    QObject::connect(channel, &AmqpQt::Channel::closed, connection,
                     [&failure, connection](const AmqpQt::Error &reason) {
                         failure = reason;
                         connection->close();
                     });

    QThread worker;
    connection->moveToThread(&worker);
    QObject::connect(&worker, &QThread::finished, connection, &QObject::deleteLater);
    QObject::connect(connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, connection, &AmqpQt::Connection::close); // queued to its thread
    worker.start();
    QMetaObject::invokeMethod(connection, &AmqpQt::Connection::open);

    const int exitCode = application.exec();
    worker.quit();
    worker.wait();
    return exitCode;
}
